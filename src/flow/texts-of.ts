/** Every text and number of a value, and the names of its members: with nothing left out, however deep. Names are what somebody may write into, too. */
export function textsOf(value: unknown): string[] {
  const found: string[] = [];
  const stack: unknown[] = [value];
  while (stack.length > 0) {
    const one = stack.pop();
    if (typeof one === 'string') found.push(one);
    else if (typeof one === 'number' || typeof one === 'bigint') found.push(String(one));
    else if (Array.isArray(one)) for (let at = one.length - 1; at >= 0; at -= 1) stack.push(one[at]);
    else if (typeof one === 'object' && one !== null) {
      for (const [name, member] of Object.entries(one).reverse()) stack.push(member, name);
    }
  }
  return found;
}
