import { oauthIssuerTests } from './oauth-issuer-tests.ts';

oauthIssuerTests();
