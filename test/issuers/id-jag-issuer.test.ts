import { idJagIssuerTests } from './id-jag-issuer-tests.ts';

idJagIssuerTests();
