// sumBytes against the definition (RFC 1071): 16-bit words added one by one with end-around carry.
import { fold, sumBytes } from "../../../net/wire/checksum";

function reference(at: usize, bytes: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < bytes; i++) {
    sum += i & 1 ? (<u32>load<u8>(at + i)) << 8 : <u32>load<u8>(at + i);
    sum = (sum >> 16) + (sum & 0xffff);
  }
  return sum;
}

describe("the sum of bytes", () => {
  test("is that of RFC 1071 for every length up to 200 and every alignment", () => {
    const buffer = heap.alloc(256);
    let state: u32 = 1;
    for (let i: usize = 0; i < 256; i++) {
      state = state * 1664525 + 1013904223;
      store<u8>(buffer + i, <u8>(state >> 24));
    }
    let wrong = 0;
    for (let start: usize = 0; start < 9; start++) {
      for (let bytes: u32 = 0; bytes <= 200; bytes++) {
        if (fold(sumBytes(buffer + start, bytes)) != reference(buffer + start, bytes)) wrong++;
      }
    }
    expect(wrong).toBe(0);
    heap.free(buffer);
  });

  test("carries when every byte is 0xff, and is zero only for zeros", () => {
    const buffer = heap.alloc(2048);
    memory.fill(buffer, 0xff, 2048);
    expect(fold(sumBytes(buffer, 2048))).toBe(0xffff);
    expect(fold(sumBytes(buffer, 1461))).toBe(reference(buffer, 1461));
    memory.fill(buffer, 0, 2048);
    expect(fold(sumBytes(buffer, 2048))).toBe(0);
    heap.free(buffer);
  });
});
