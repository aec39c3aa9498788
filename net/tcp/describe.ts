// Flows for people: a line for each, as `/connections` shows them.
// clang: -Oz

import { formatHost } from "../ip/address";
import { unzoned } from "../wire/ipv6";
import { Connection } from "./connection";
import { stateName } from "./core";
import { Flow, FlowKind } from "./flow";
import { FlowTable } from "./table";

/** The flows of one bucket: state, own end, peer's end. Without waiting, so that none of them goes meanwhile. */
export function describeFlows(table: FlowTable, bucket: u32): string {
  let text = "";
  let next: Flow | null = null;
  for (let f: Flow | null = table.first(bucket); f != null; f = next) {
    next = f.hashNext;
    const state = f.kind == FlowKind.CONNECTION ? stateName(changetype<Connection>(f).state) : "TIME-WAIT";
    text += state.padEnd(13) + formatHost(unzoned(f.localHi), f.localLo) + ":" + f.localPort.toString() + " ";
    text += formatHost(unzoned(f.remoteHi), f.remoteLo) + ":" + f.remotePort.toString() + "\n";
  }
  return text;
}
