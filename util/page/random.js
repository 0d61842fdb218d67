// Torch7's random numbers on a CPU: the Mersenne Twister of Matsumoto and Nishimura (1998), seeded with their
// init_genrand; every draw takes one 32-bit output. See util/torch7_random.py.

const WORDS = 624, OFFSET = 397;

/** Returns what draws the next output. It is a whole number from 0 to 2³² - 1, as `seed` is. */
function randomNumbers(seed) {
  const key = new Uint32Array(WORDS);
  key[0] = seed;
  for (let n = 1; n < WORDS; n++) key[n] = Math.imul(1812433253, key[n - 1] ^ (key[n - 1] >>> 30)) + n;
  let position = 0;
  return () => {
    const next = (position + 1) % WORDS, bits = (key[position] & 0x80000000) | (key[next] & 0x7fffffff);
    key[position] = key[(position + OFFSET) % WORDS] ^ (bits >>> 1) ^ (bits & 1 ? 0x9908b0df : 0);
    let y = key[position];
    position = next;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}
