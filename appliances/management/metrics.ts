// Metrics in Prometheus' text format (exposition format 0.0.4): names in snake_case with unit, counters end in _total, each with
// HELP and TYPE once.
// clang: -Oz

export class Metrics {
  private readonly lines: Array<string> = new Array<string>();
  private last: string = "";

  /** A number that only grows. @param labels `interface="eth0"`, or empty */
  counter(name: string, help: string, value: u64, labels: string = ""): void {
    this.add(name + "_total", "counter", help, value.toString(), labels);
  }
  /** A number that goes up and down. */
  gauge(name: string, help: string, value: i64, labels: string = ""): void {
    this.add(name, "gauge", help, value.toString(), labels);
  }
  /** Seconds of a time in ns. */
  seconds(name: string, help: string, value_ns: i64): void {
    const ms = value_ns / 1_000_000;
    this.add(name, "gauge", help, (ms / 1000).toString() + "." + (ms % 1000).toString().padStart(3, "0"), "");
  }

  private add(name: string, type: string, help: string, value: string, labels: string): void {
    const full = "heddle_" + name;
    if (full != this.last) {
      this.lines.push("# HELP " + full + " " + help);
      this.lines.push("# TYPE " + full + " " + type);
      this.last = full;
    }
    this.lines.push(full + (labels.length > 0 ? "{" + labels + "}" : "") + " " + value);
  }

  toString(): string {
    return this.lines.join("\n") + "\n";
  }
}

/** A value of a label: backslash, quote and line feed escaped. */
export function label(name: string, value: string): string {
  return name + '="' + value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n") + '"';
}

/** A MIB's name as Prometheus writes it: "TcpRetransSegs" is "tcp_retrans_segs". */
export function snake(name: string): string {
  let text = "";
  let lower = false;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    const upper = c >= 0x41 && c <= 0x5a;
    if (upper && lower) text += "_";
    text += upper ? String.fromCharCode(c | 0x20) : String.fromCharCode(c);
    lower = !upper;
  }
  return text;
}
