const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x0d, 0x22, 0x2f, 0x5c, 0x7b];

/** Bytes with one to six changes of the kinds that break parsers: flips, cuts, doublings, insertions, swaps. */
export function mutate(bytes: Uint8Array, random: () => number): Buffer {
  let out = Buffer.from(bytes);
  const at = () => Math.floor(random() * Math.max(1, out.length));
  const changes = 1 + Math.floor(random() * 6);
  for (let change = 0; change < changes && out.length > 0; change += 1) {
    const place = at();
    const length = 1 + Math.floor(random() * 32);
    switch (Math.floor(random() * 7)) {
      case 0:
        out[place] = (out[place] ?? 0) ^ (1 << Math.floor(random() * 8));
        break;
      case 1:
        out[place] = INTERESTING[Math.floor(random() * INTERESTING.length)] ?? 0;
        break;
      case 2:
        out = out.subarray(0, place);
        break;
      case 3:
        out = Buffer.concat([out.subarray(0, place), out.subarray(place + length)]);
        break;
      case 4: {
        const part = out.subarray(place, place + length);
        out = Buffer.concat([out.subarray(0, place), part, part, out.subarray(place)]);
        break;
      }
      case 5: {
        const noise = Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
        out = Buffer.concat([out.subarray(0, place), noise, out.subarray(place)]);
        break;
      }
      default: {
        // A number becomes another: sizes, counts and offsets are where readers trust too much.
        const text = out.toString('latin1');
        const numbers = [...text.matchAll(/\d+/g)];
        const number = numbers[Math.floor(random() * numbers.length)];
        if (!number) break;
        const others = [
          '-1',
          '0',
          '4294967296',
          '99999999999999999999',
          '1e308',
          '0x10',
          '-0',
          '2147483648',
        ];
        const other = others[Math.floor(random() * others.length)] ?? '';
        out = Buffer.from(
          text.slice(0, number.index) + other + text.slice(number.index + number[0].length),
          'latin1',
        );
      }
    }
  }
  return out;
}
