import { info, Info } from "../../runtime/platform";
import { BUFFER_BYTES } from "../../runtime/memory/packet";

describe("the platform of the unit tests", () => {
  it("has a packet pool of whole buffers above the unmapped 2 MiB, and static data behind it", () => {
    const address = info(Info.POOL_ADDRESS);
    const bytes = info(Info.POOL_BYTES);
    expect(address).toBeGreaterThanOrEqual(2 << 20);
    expect(bytes % (BUFFER_BYTES as i64)).toBe(0);
    expect(__data_end as i64).toBeGreaterThan(address + bytes);
  });
});
