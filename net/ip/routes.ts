// The routing table: longest prefix match in path-compressed binary tries (Morrison, 1968), one for IPv4 and one for
// IPv6, so that ::/0 is no default of IPv4.
//
//   a node: a prefix; what it leads to (a list by metric, maybe empty); and, for policy by source, a trie of source
//   prefixes of the same kind, each with its list. Its two children extend it by at least one bit, by the next bit.
//
// A packet takes the longest destination prefix that has a route for its source: there the longest source prefix, else
// the routes for any source. So a default route for one source does not take what lies on a link.
//
// Invariants
// 1. A node without routes (its own or by source) has two children; so there are fewer than twice as many nodes as
//    prefixes.
// 2. A child's prefix extends its parent's. A look-up visits at most one node for each bit, in practice the logarithm
//    of the number of prefixes, whatever the order in which they were added; with policy by source, one such walk for
//    each node on the way that has some.
// 3. The table is small and rarely changed (control plane): nodes and routes come from the heap.

import { isV4, maskHi, maskLo, samePrefix } from "./address";
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
  /** Root of the routes by source, or null. */
  sources: Node | null;
  zero: Node | null;
  one: Node | null;


  @inline get needed(): bool {
    return this.routes != null || this.sources != null || (this.zero != null && this.one != null);
  }
}

export class RoutingTable {
  /** Where the roots of the two tries stand: IPv4, then IPv6. */
  private readonly roots: usize = heap.alloc(2 * sizeof<usize>());
  /** Routes in the table, and those of them that are for one source prefix. */
  count: u32 = 0;
  sourced: u32 = 0;

  constructor() {
    memory.fill(this.roots, 0, 2 * sizeof<usize>());
  }

  /** The route with the longest prefix that contains the address, for any source; or null. */
  lookup(hi: u64, lo: u64): RouteEntry | null {
    return walk(this.rootOf(hi, lo), hi, lo);
  }

  /** The route for packets from (srcHi, srcLo), or null. */
  lookupFrom(hi: u64, lo: u64, srcHi: u64, srcLo: u64): RouteEntry | null {
    if (this.sourced == 0) return walk(this.rootOf(hi, lo), hi, lo);
    let best: RouteEntry | null = null;
    let node = this.rootOf(hi, lo);
    while (node != null) {
      const bits = node.bits;
      if (!samePrefix(hi, lo, node.hi, node.lo, bits)) break;
      const bySource = walk(node.sources, srcHi, srcLo);
      if (bySource != null) best = bySource;
      else if (node.routes != null) best = node.routes;
      if (bits == 128) break;
      node = bitAt(hi, lo, bits) ? node.one : node.zero;
    }
    return best;
  }

  /**
   * Adds a route for a prefix and gives it to be filled in; its kind and metric are set.
   * @param fromHi, fromLo, fromBits the source prefix it is for; 0 bits: for any
   */
  add(
    hi: u64,
    lo: u64,
    bits: u32,
    kind: RouteKind,
    metric: u32,
    fromHi: u64 = 0,
    fromLo: u64 = 0,
    fromBits: u32 = 0,
  ): RouteEntry {
    const at = heap.alloc(offsetof<RouteEntry>());
    memory.fill(at, 0, offsetof<RouteEntry>());
    const route = changetype<RouteEntry>(at);
    route.kind = kind;
    route.metric = metric;
    let node = nodeFor(this.cellOf(hi, lo, bits), hi & maskHi(bits), lo & maskLo(bits), bits);
    if (fromBits > 0) {
      const cell = changetype<usize>(node) + offsetof<Node>("sources");
      node = nodeFor(cell, fromHi & maskHi(fromBits), fromLo & maskLo(fromBits), fromBits);
      this.sourced++;
    }
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

  /**
   * Removes the first route of a prefix with this kind, interface and preferred source.
   * @param fromHi, fromLo, fromBits the source prefix it is for, as in `add`
   * @param hopHi, hopLo its gateway; 0: whichever
   * @returns false when there is none
   */
  remove(
    hi: u64,
    lo: u64,
    bits: u32,
    kind: RouteKind,
    iface: u32,
    srcHi: u64,
    srcLo: u64,
    fromHi: u64 = 0,
    fromLo: u64 = 0,
    fromBits: u32 = 0,
    hopHi: u64 = 0,
    hopLo: u64 = 0,
  ): bool {
    const root = this.cellOf(hi, lo, bits);
    const outer = find(root, hi, lo, bits);
    if (outer == null) return false;
    const sources = changetype<usize>(outer) + offsetof<Node>("sources");
    const node = fromBits > 0 ? find(sources, fromHi, fromLo, fromBits) : outer;
    if (node == null) return false;
    let before: RouteEntry | null = null;
    let route = node.routes;
    while (
      route != null &&
      (route.kind != kind ||
        route.iface != iface ||
        route.srcHi != srcHi ||
        route.srcLo != srcLo ||
        ((hopHi | hopLo) != 0 && (route.hopHi != hopHi || route.hopLo != hopLo)))
    ) {
      before = route;
      route = route.next;
    }
    if (route == null) return false;
    if (before != null) before.next = route.next;
    else node.routes = route.next;
    heap.free(changetype<usize>(route));
    this.count--;
    if (fromBits > 0) {
      this.sourced--;
      prune(sources, fromHi, fromLo, fromBits);
    }
    prune(root, hi, lo, bits);
    return true;
  }

  /** Writes all routes, ROUTE_COPY_BYTES each, to room for `count` of them. */
  copyTo(to: usize): void {
    copyBelow(copyBelow(to, at(this.roots)), at(this.roots + sizeof<usize>()));
  }

  /** Takes all routes out. */
  clear(): void {
    dropBelow(at(this.roots));
    dropBelow(at(this.roots + sizeof<usize>()));
    memory.fill(this.roots, 0, 2 * sizeof<usize>());
    this.count = 0;
    this.sourced = 0;
  }


  @inline private rootOf(hi: u64, lo: u64): Node | null {
    return changetype<Node | null>(load<usize>(this.roots + (isV4(hi, lo) ? 0 : sizeof<usize>())));
  }

  // Where the root of the trie stands that a prefix belongs to: IPv4's have at least the 96 bits of ::ffff:0:0/96.
  private cellOf(hi: u64, lo: u64, bits: u32): usize {
    return this.roots + (bits >= 96 && isV4(hi, lo) ? 0 : sizeof<usize>());
  }
}

// The routes of the longest prefix below `node` that contains the address.
@inline
function walk(node: Node | null, hi: u64, lo: u64): RouteEntry | null {
  let best: RouteEntry | null = null;
  while (node != null) {
    const bits = node.bits;
    if (!samePrefix(hi, lo, node.hi, node.lo, bits)) break;
    const routes = node.routes;
    if (routes != null) best = routes;
    if (bits == 128) break;
    node = bitAt(hi, lo, bits) ? node.one : node.zero;
  }
  return best;
}

// In what follows a cell is where the pointer to a node stands: a root, or a field of the parent.

@inline
function at(cell: usize): Node | null {
  return changetype<Node | null>(load<usize>(cell));
}


@inline
function childCell(node: Node, hi: u64, lo: u64): usize {
  return changetype<usize>(node) + (bitAt(hi, lo, node.bits) ? offsetof<Node>("one") : offsetof<Node>("zero"));
}

function find(cell: usize, hi: u64, lo: u64, bits: u32): Node | null {
  for (let node = at(cell); node != null; node = at(cell)) {
    if (node.bits > bits || !samePrefix(hi, lo, node.hi, node.lo, node.bits)) return null;
    if (node.bits == bits) return node;
    cell = childCell(node, hi, lo);
  }
  return null;
}

// The node of a prefix, made where there is none.
function nodeFor(cell: usize, hi: u64, lo: u64, bits: u32): Node {
  for (;;) {
    const node = at(cell);
    if (node == null) return newNode(cell, hi, lo, bits);
    const common = min(min(commonBits(hi, lo, node.hi, node.lo), bits), node.bits);
    if (common == node.bits) {
      if (common == bits) return node;
      cell = childCell(node, hi, lo);
      continue;
    }
    // They part before the node's end: a node for what they share takes its place.
    const fork = newNode(cell, hi & maskHi(common), lo & maskLo(common), common);
    store<usize>(childCell(fork, node.hi, node.lo), changetype<usize>(node));
    return common == bits ? fork : newNode(childCell(fork, hi, lo), hi, lo, bits);
  }
}

// Removes the node of a prefix when it has become needless, and then maybe its parent (invariant 1).
function prune(cell: usize, hi: u64, lo: u64, bits: u32): void {
  let parentCell: usize = 0;
  for (let node = at(cell); node != null; node = at(cell)) {
    if (node.bits == bits) {
      drop(cell, node);
      const parent = parentCell != 0 ? at(parentCell) : null;
      if (parent != null) drop(parentCell, parent);
      return;
    }
    parentCell = cell;
    cell = childCell(node, hi, lo);
  }
}

function drop(cell: usize, node: Node): void {
  if (node.needed) return;
  store<usize>(cell, changetype<usize>(node.zero != null ? node.zero : node.one));
  heap.free(changetype<usize>(node));
}

function newNode(cell: usize, hi: u64, lo: u64, bits: u32): Node {
  const address = heap.alloc(offsetof<Node>());
  memory.fill(address, 0, offsetof<Node>());
  const node = changetype<Node>(address);
  node.hi = hi;
  node.lo = lo;
  node.bits = bits;
  store<usize>(cell, address);
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

/** A route as `copyTo` writes it, for other cores. */
@unmanaged
export class RouteCopy {
  hi: u64;
  lo: u64;
  fromHi: u64;
  fromLo: u64;
  hopHi: u64;
  hopLo: u64;
  srcHi: u64;
  srcLo: u64;
  bits: u32;
  fromBits: u32;
  kind: RouteKind;
  iface: u32;
  metric: u32;
  reserved: u32;
}
export const ROUTE_COPY_BYTES: usize = offsetof<RouteCopy>();

// Writes the routes of a trie behind `to` and gives where they end. Its depth is at most 129.
function copyBelow(to: usize, node: Node | null): usize {
  if (node == null) return to;
  to = copyLists(to, node, node.hi, node.lo, node.bits, 0, 0, 0);
  to = copySources(to, node, node.sources);
  return copyBelow(copyBelow(to, node.zero), node.one);
}

function copySources(to: usize, node: Node, source: Node | null): usize {
  if (source == null) return to;
  to = copyLists(to, source, node.hi, node.lo, node.bits, source.hi, source.lo, source.bits);
  return copySources(copySources(to, node, source.zero), node, source.one);
}

function copyLists(
  to: usize,
  holder: Node,
  hi: u64,
  lo: u64,
  bits: u32,
  fromHi: u64,
  fromLo: u64,
  fromBits: u32,
): usize {
  let next: RouteEntry | null = null;
  for (let route: RouteEntry | null = holder.routes; route != null; route = next) {
    next = route.next;
    const copy = changetype<RouteCopy>(to);
    copy.hi = hi;
    copy.lo = lo;
    copy.bits = bits;
    copy.fromHi = fromHi;
    copy.fromLo = fromLo;
    copy.fromBits = fromBits;
    copy.hopHi = route.hopHi;
    copy.hopLo = route.hopLo;
    copy.srcHi = route.srcHi;
    copy.srcLo = route.srcLo;
    copy.kind = route.kind;
    copy.iface = route.iface;
    copy.metric = route.metric;
    copy.reserved = 0;
    to += ROUTE_COPY_BYTES;
  }
  return to;
}

function dropBelow(node: Node | null): void {
  if (node == null) return;
  dropBelow(node.sources);
  dropBelow(node.zero);
  dropBelow(node.one);
  let next: RouteEntry | null = null;
  for (let route: RouteEntry | null = node.routes; route != null; route = next) {
    next = route.next;
    heap.free(changetype<usize>(route));
  }
  heap.free(changetype<usize>(node));
}
