/** Only what an issuer of ours made is ever altered or removed, whatever a lease row says. */
const TAG = /^remit_[0-9a-z]{8,57}$/;

export function isLeaseTag(tag: string): boolean {
  return TAG.test(tag);
}

export function assertLeaseTag(tag: string): void {
  if (!isLeaseTag(tag)) throw new Error(`${JSON.stringify(tag)} is not a name of ours`);
}
