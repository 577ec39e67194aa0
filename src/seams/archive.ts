/** Where closed pieces of the trail go, each under a name of its own, not to be changed there. Cardinality: none, or one per gateway process. */
export interface Archive {
  /** Where it is, for people and for the record; the same for the same place. */
  readonly name: string;
  /**
   * Stores bytes under a name that is not written twice.
   * @returns `there` when the same bytes are there already: an earlier answer was lost, or a crash came before it was recorded
   * @throws `ERR_ARCHIVE` when other bytes are there, when it refuses, or cannot be reached
   */
  keep(name: string, bytes: Buffer, signal: AbortSignal): Promise<'kept' | 'there'>;
  /** Stores bytes in place of what is there. @throws `ERR_ARCHIVE` */
  replace(name: string, bytes: Buffer, signal: AbortSignal): Promise<void>;
  /** Small bytes. Undefined: there is nothing of that name. @throws `ERR_ARCHIVE` */
  read(name: string, signal: AbortSignal): Promise<Buffer | undefined>;
}
