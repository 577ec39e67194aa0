/** Looks that are left out after one that failed. */
const MOST = 60;

/** Between tries of what is looked at again and again, and costs too much to fail each time: twice as many looks as after the failure before, sixty at most. */
export interface GrowingPause {
  /** Whether this look is to be left out; it is one less then. */
  skips(): boolean;
  /** It failed once more. */
  lengthen(): void;
  /** There is nothing to wait for any more. */
  end(): void;
}

export function createGrowingPause(): GrowingPause {
  let failures = 0;
  let left = 0;
  return {
    skips() {
      if (left === 0) return false;
      left -= 1;
      return true;
    },
    lengthen() {
      failures += 1;
      left = Math.min(2 ** failures, MOST);
    },
    end() {
      failures = left = 0;
    },
  };
}
