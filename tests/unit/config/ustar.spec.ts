// Bundles: files are found in place; an archive with any mistake is refused as a whole.

import { Bundle } from "../../../runtime/config/ustar";

/** A ustar archive being made, so that single fields can be spoilt. */
class Archive {
  buffer: ArrayBuffer = new ArrayBuffer(16384);
  length: u32 = 0;

  get at(): usize {
    return changetype<usize>(this.buffer);
  }
  text(offset: u32, text: string): void {
    String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, this.at + offset);
  }
  /** Appends an entry; returns the offset of its header. */
  entry(path: string, content: string, type: string = "0", prefix: string = ""): u32 {
    const header = this.length;
    this.text(header, path);
    this.text(header + 100, "0000644");
    this.text(header + 124, content.length.toString(8).padStart(11, "0"));
    this.text(header + 136, "00000000017");
    this.text(header + 156, type);
    this.text(header + 257, "ustar");
    this.text(header + 263, "00");
    this.text(header + 345, prefix);
    this.seal(header);
    this.text(header + 512, content);
    this.length += 512 + ((content.length + 511) & ~511);
    return header;
  }
  seal(header: u32): void {
    let sum: u32 = 0;
    for (let i: u32 = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 32 : load<u8>(this.at + header + i);
    this.text(header + 148, sum.toString(8).padStart(6, "0"));
    store<u16>(this.at + header + 154, 0x2000);
  }
  open(): Bundle {
    return new Bundle(this.at, this.length);
  }
}

function contentOf(bundle: Bundle, path: string): string {
  const file = bundle.find(path);
  return file == null ? "(none)" : String.UTF8.decodeUnsafe(file.address, file.length_bytes);
}
function errorOf(path: string, type: string = "0"): string {
  const archive = new Archive();
  archive.entry(path, "", type);
  return archive.open().error;
}

describe("a bundle", () => {
  it("that is JSON is its config.json", () => {
    const json = String.UTF8.encode(' \n{"a": 1}');
    const bundle = new Bundle(changetype<usize>(json), json.byteLength);
    expect(contentOf(bundle, "config.json")).toBe(' \n{"a": 1}');
    expect(bundle.files.length).toBe(1);
  });
  it("of no bytes is empty", () => {
    const bundle = new Bundle(0, 0);
    expect(bundle.error).toBe("");
    expect(bundle.files.length).toBe(0);
  });
  it("finds files in place, skips directories, joins prefix and name, drops a leading ./", () => {
    const archive = new Archive();
    archive.entry("./www/", "", "5");
    const header = archive.entry("./www/a.txt", "hello");
    archive.entry("b.txt", "", "0", "www/deep");
    archive.length += 1024;
    const bundle = archive.open();
    expect(bundle.error).toBe("");
    expect(contentOf(bundle, "www/a.txt")).toBe("hello");
    expect(contentOf(bundle, "www/deep/b.txt")).toBe("");
    expect(bundle.files.length).toBe(2);
    expect(bundle.find("www/a.txt")!.address).toBe(archive.at + header + 512);
    expect(bundle.find("www/a.txt")!.mtime_s).toBe(15);
    expect(contentOf(bundle, "www")).toBe("(none)");
  });
  it("may end without padding and without the closing blocks", () => {
    const archive = new Archive();
    archive.entry("a", "xyz");
    archive.length -= 509;
    expect(contentOf(archive.open(), "a")).toBe("xyz");
  });
});

describe("a spoilt bundle", () => {
  it("cut off anywhere within header or content is refused", () => {
    const archive = new Archive();
    archive.entry("first", "x".repeat(600));
    const second = archive.entry("second", "y".repeat(100));
    for (let n: u32 = second + 1; n < second + 612; n += 13) {
      archive.length = n;
      const bundle = archive.open();
      expect(bundle.error.length).toBeGreaterThan(0, n.toString());
      expect(bundle.files.length).toBe(0);
    }
  });
  it("with any changed bit in a header is refused or unchanged in meaning", () => {
    const archive = new Archive();
    const header = archive.entry("a", "abc");
    for (let i: u32 = 0; i < 512; i++) {
      const old = load<u8>(archive.at + header + i);
      store<u8>(archive.at + header + i, old ^ 1);
      const bundle = archive.open();
      // The checksum field's own closing bytes carry nothing.
      if (bundle.error == "") expect(i - 154 < 2 || contentOf(bundle, "a") == "abc").toBe(true, i.toString());
      store<u8>(archive.at + header + i, old);
    }
  });
  it("names the mistake and where it is", () => {
    expect(errorOf("/etc/passwd")).toBe(
      "byte 0 of the bundle: a path that is empty, absolute, not UTF-8 or has empty, '.' or '..' parts",
    );
    expect(errorOf("www/../secrets/x")).toBe(errorOf("/etc/passwd"));
    expect(errorOf("..")).toBe(errorOf("/etc/passwd"));
    expect(errorOf("a//b")).toBe(errorOf("/etc/passwd"));
    expect(errorOf("a/./b")).toBe(errorOf("/etc/passwd"));
    expect(errorOf("")).toBe(errorOf("/etc/passwd"));
    expect(errorOf("a", "2")).toBe(
      "byte 0 of the bundle: an entry that is neither file nor directory: pack with tar --format=ustar, without links",
    );
    expect(errorOf("a", "x")).toBe(errorOf("a", "2"));
    expect(errorOf("a", "L")).toBe(errorOf("a", "2"));
  });
  it("with a file twice is refused", () => {
    const archive = new Archive();
    archive.entry("a", "1");
    archive.entry("./a", "2");
    expect(archive.open().error).toBe("byte 1024 of the bundle: a file that stands twice");
  });
  it("with a size that reaches beyond it, or overflows, is refused", () => {
    const archive = new Archive();
    const header = archive.entry("a", "1");
    archive.text(header + 124, "77777777777");
    archive.seal(header);
    expect(archive.open().error).toBe("byte 0 of the bundle: a file that ends beyond the archive: was it cut off?");
    archive.text(header + 124, "0000000000x");
    archive.seal(header);
    expect(archive.open().error).toBe("byte 0 of the bundle: a field that is not an octal number");
    store<u8>(archive.at + header + 124, 0x80); // GNU's binary sizes
    archive.seal(header);
    expect(archive.open().error).toBe("byte 0 of the bundle: a field that is not an octal number");
  });
  it("that is no archive is refused", () => {
    const archive = new Archive();
    archive.length = 512;
    archive.text(0, "PK");
    expect(archive.open().error).toBe("byte 0 of the bundle: neither JSON nor a ustar archive (tar --format=ustar)");
  });
});
