// The routing table: longest prefix match in a path-compressed binary trie over 128-bit keys (Morrison, 1968; IPv4 as
// ::ffff:a.b.c.d).
//
//   a node: a prefix, and what it leads to (a list by metric, maybe empty). Its two children extend it by at least one
// bit, by the next bit.
//
// Invariants
// 1. A node without routes has two children; so there are fewer than twice as many nodes as prefixes.
// 2. A child's prefix extends its parent's. A look-up visits at most one node for each bit, in practice the logarithm
//    of the number
//    of prefixes, whatever the order in which they were added.
// 3. The table is small and rarely changed (control plane): nodes and routes come from the heap.

import { maskHi, maskLo, samePrefix } from "./address";
import { RouteKind } from "./route";


@unmanaged
export class RouteEntry {
  /** Next of the same prefix, with an equal or larger metric. */
  next: RouteEntry | null;
  kind: RouteKind;
  iface: u32;
  metric: u32;
  reserved: u32;
  /** The gateway, or 0: the destination is on the link. */
  hopHi: u64;
  hopLo: u64;
  /** The preferred source address, or 0: any of the interface. */
  srcHi: u64;
  srcLo: u64;
}


@unmanaged
class Node {
  hi: u64;
  lo: u64;
  bits: u32;
  routes: RouteEntry | null;
  zero: Node | null;
  one: Node | null;
}

export class RoutingTable {
  private root: Node | null = null;
  /** Routes in the table. */
  count: u32 = 0;

  /** The route with the longest prefix that contains the address, or null. */
  lookup(hi: u64, lo: u64): RouteEntry | null {
    let best: RouteEntry | null = null;
    let node = this.root;
    while (node != null) {
      const bits = node.bits;
      if (!samePrefix(hi, lo, node.hi, node.lo, bits)) break;
      if (node.routes != null) best = node.routes;
      if (bits == 128) break;
      node = bitAt(hi, lo, bits) ? node.one : node.zero;
    }
    return best;
  }

  /** Adds a route for a prefix (whose other bits are 0) and gives it to be filled in; its kind and metric are set. */
  add(hi: u64, lo: u64, bits: u32, kind: RouteKind, metric: u32): RouteEntry {
    const at = heap.alloc(offsetof<RouteEntry>());
    memory.fill(at, 0, offsetof<RouteEntry>());
    const route = changetype<RouteEntry>(at);
    route.kind = kind;
    route.metric = metric;
    const node = this.nodeFor(hi & maskHi(bits), lo & maskLo(bits), bits);
    let before: RouteEntry | null = null;
    let after = node.routes;
    while (after != null && after.metric <= metric) {
      before = after;
      after = after.next;
    }
    route.next = after;
    if (before != null) before.next = route;
    else node.routes = route;
    this.count++;
    return route;
  }

  /** Removes the first route of a prefix with this kind, interface and source. False when there is none. */
  remove(hi: u64, lo: u64, bits: u32, kind: RouteKind, iface: u32, srcHi: u64, srcLo: u64): bool {
    let parent: Node | null = null;
    let grand: Node | null = null;
    let node = this.root;
    while (node != null && (node.bits != bits || !samePrefix(hi, lo, node.hi, node.lo, bits))) {
      if (node.bits >= bits || !samePrefix(hi, lo, node.hi, node.lo, node.bits)) return false;
      grand = parent;
      parent = node;
      node = bitAt(hi, lo, node.bits) ? node.one : node.zero;
    }
    if (node == null) return false;
    let before: RouteEntry | null = null;
    let route = node.routes;
    while (
      route != null &&
      (route.kind != kind || route.iface != iface || route.srcHi != srcHi || route.srcLo != srcLo)
    ) {
      before = route;
      route = route.next;
    }
    if (route == null) return false;
    if (before != null) before.next = route.next;
    else node.routes = route.next;
    heap.free(changetype<usize>(route));
    this.count--;
    if (node.routes != null || (node.zero != null && node.one != null)) return true;
    // The node has become needless, and maybe its parent with it (invariant 1).
    this.replace(parent, node, node.zero != null ? node.zero : node.one);
    if (parent != null && parent.routes == null && (parent.zero == null || parent.one == null)) {
      this.replace(grand, parent, parent.zero != null ? parent.zero : parent.one);
    }
    return true;
  }

  private replace(parent: Node | null, old: Node, by: Node | null): void {
    if (parent == null) this.root = by;
    else if (parent.one == old) parent.one = by;
    else parent.zero = by;
    heap.free(changetype<usize>(old));
  }

  private nodeFor(hi: u64, lo: u64, bits: u32): Node {
    let parent: Node | null = null;
    let node = this.root;
    for (;;) {
      if (node == null) {
        const leaf = newNode(hi, lo, bits);
        this.hang(parent, leaf);
        return leaf;
      }
      const common = min(min(commonBits(hi, lo, node.hi, node.lo), bits), node.bits);
      if (common == node.bits) {
        if (common == bits) return node;
        parent = node;
        node = bitAt(hi, lo, common) ? node.one : node.zero;
        continue;
      }
      // They part before the node's end: a node for what they share takes its place.
      const fork = newNode(hi & maskHi(common), lo & maskLo(common), common);
      this.hang(parent, fork);
      this.hang(fork, node);
      if (common == bits) return fork;
      const leaf = newNode(hi, lo, bits);
      this.hang(fork, leaf);
      return leaf;
    }
  }

  private hang(parent: Node | null, node: Node): void {
    if (parent == null) this.root = node;
    else if (bitAt(node.hi, node.lo, parent.bits)) parent.one = node;
    else parent.zero = node;
  }
}

function newNode(hi: u64, lo: u64, bits: u32): Node {
  const at = heap.alloc(offsetof<Node>());
  memory.fill(at, 0, offsetof<Node>());
  const node = changetype<Node>(at);
  node.hi = hi;
  node.lo = lo;
  node.bits = bits;
  return node;
}

// Bit `index` (0: the most significant) of a key; index is below 128.
@inline
function bitAt(hi: u64, lo: u64, index: u32): bool {
  return ((index < 64 ? hi >> (63 - index) : lo >> (127 - index)) & 1) as bool;
}

function commonBits(aHi: u64, aLo: u64, bHi: u64, bLo: u64): u32 {
  const high = aHi ^ bHi;
  if (high != 0) return <u32>clz<u64>(high);
  return 64 + <u32>clz<u64>(aLo ^ bLo);
}
