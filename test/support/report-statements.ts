import type { AwsIssuerOptions } from '../../src/adapters/issuers/aws-issuer.ts';

/** What a role over a bucket of reports is narrowed by, at the fake and at a real server. */
export const REPORT_STATEMENTS: AwsIssuerOptions['statements'] = [
  { classes: ['read', 'export'], actions: ['s3:GetObject'], resources: ['arn:aws:s3:::reports/{resource}'] },
  { classes: ['write'], actions: ['s3:PutObject'], resources: ['arn:aws:s3:::reports/{resource}'], for: ['out/*'] },
  { classes: ['read'], actions: ['s3:ListAllMyBuckets'], resources: ['*'] },
];
