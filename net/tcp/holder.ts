// The flows of this core's TCP, for whoever steers frames between cores (net/steering.ts).

import { unzoned } from "../wire/ipv6";
import { Stack } from "../stack";
import { FlowHolder, Steering } from "../steering";
import { Flow } from "./flow";
import { flowHash, FlowTable } from "./table";

export class TcpFlows extends FlowHolder {
  constructor(
    private readonly stack: Stack,
    private readonly table: FlowTable,
  ) {
    super();
  }

  holds(dstHi: u64, dstLo: u64, srcHi: u64, srcLo: u64, dstPort: u32, srcPort: u32): bool {
    const hash = flowHash(this.stack, dstHi, dstLo, srcHi, srcLo, dstPort, srcPort);
    return this.table.find(hash, dstHi, dstLo, srcHi, srcLo, dstPort, srcPort) != null;
  }

  strays(steering: Steering): bool {
    const table = this.table;
    for (let bucket: u32 = 0; bucket < table.buckets; bucket++) {
      let next: Flow | null = null;
      for (let f: Flow | null = table.first(bucket); f != null; f = next) {
        next = f.hashNext;
        const owner = steering.owner(
          true,
          unzoned(f.localHi),
          f.localLo,
          unzoned(f.remoteHi),
          f.remoteLo,
          f.localPort,
          f.remotePort,
        );
        if (owner != steering.self) return true;
      }
    }
    return false;
  }
}
