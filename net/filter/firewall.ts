// The firewall: what stands in each packet's way through IP (net/ip/hook.ts), made of the parts of this folder.
//
//   preRoute   read the key; known flow? track it, translate the destination
//              new? destination NAT, remember the draft                                  --> routing
//   forward    new: the rules judge (first match, on the translated destination)  \
//   input      the same, to the machine itself                                     +-- accepted: the flow is made when its
//   output     what the machine sends: accepted, unless a `from: self` rule says   |   source is known, in postRoute (or in
//   postRoute  source NAT, the flow is made, translate the source                 /    input, where nothing follows)
//
// Invariants
// 1. Between the hooks a packet carries what was found in `Packet.cookie`: the flow's address with the direction in bit 0,
//    PASS, LINK, or 0 for the packet in `pending`, of which there is one at a time, as hooks of a packet follow each other at
//    once. What the stack itself sends meanwhile (errors, RST) never becomes pending.
// 2. A packet is judged when its flow is new. Later ones of the flow only have to fit its state, and its policy's generation.
// 3. Nothing here allocates but the tables, in pieces, up to their limits.

import { Packet, PacketFlag } from "../../runtime";
import { Interface } from "../link/interface";
import { PacketFilter, ReversePath } from "../ip/hook";
import { isMulticast, V4_PREFIX } from "../ip/address";
import { reversePathHolds } from "../ip/reverse-path";
import { Stack } from "../stack";
import { Protocol } from "../wire/ipv4";
import { tcpFlags, TcpFlag, tcpHeaderBytes } from "../wire/tcp";
import { compilePolicy } from "./compile";
import { Flow, FLOW_BYTES, Half, ORIGINAL, REPLY, setHalf, Status, TcpState, turnHalf } from "./flow";
import { Key, KeyKind, newKey, readKey, TAG_ANSWER } from "./key";
import { hearOfSpent, Limits, shareSpent } from "./limit";
import { PacketLog } from "./log";
import { Mapping, Mappings, PORT_MIN } from "./mapping";
import { externalHi, externalOf, Nat, NatSpec, NatType } from "./nat";
import { inRanges, NO_RULE, Policy } from "./policy";
import { Reason } from "./reason";
import { reject } from "./reject";
import { hasPorts, Owners } from "./owner";
import { errorKey, quotesDraft, relatedHalf, translateError } from "./related";
import { clampMss, End, KEEP, setPacketEnd } from "./rewrite";
import { Action } from "./rules";
import { bogonRanges, FirewallSettings, Midstream } from "./settings";
import { FlowTable, FlowWatcher } from "./table";
import { beginTcp, TCP_REOPENED, trackTcp } from "./tcp-window";

/** Values of `Packet.cookie` besides 0 and flows. */
const PASS: u32 = 1;
/** Business of one link, which is never sent on. */
const LINK: u32 = 2;
const NO_FLOW: u32 = 16;
const DHCP_CLIENT: u32 = 68;
const DHCP6_CLIENT: u32 = 546;
const SECOND_NS: i64 = 1_000_000_000;
/** After a reset only stragglers come. */
const CLOSED_NS: i64 = 10 * SECOND_NS;
/** Two maximum segment lifetimes, as hosts count them. */
const TIME_WAIT_NS: i64 = 120 * SECOND_NS;
const GROUP: u32 = PacketFlag.LINK_BROADCAST | PacketFlag.LINK_MULTICAST;

// Each core counts its own part of what the machine may have.
function partOf(all: u32, cores: u32): u32 {
  return max<u32>((all + cores - 1) / cores, 1);
}

/** Gives a flow's mapping back when it ends. */
class Watcher extends FlowWatcher {
  mappings: Mappings | null = null;

  ended(flow: Flow): void {
    if (flow.mapping == 0) return;
    this.mappings!.release(changetype<Mapping>(flow.mapping));
    flow.mapping = 0;
  }
}

export class Firewall extends PacketFilter {
  readonly table: FlowTable;
  readonly mappings: Mappings;
  readonly log: PacketLog;
  policy: Policy;
  nat: Nat;
  settings: FirewallSettings;
  /** Changes with the policy. */
  generation: u32 = 1;
  /** Packets accepted as the first of a flow, and dropped for each Reason. */
  accepted: u64 = 0;
  private readonly drops: usize = heap.alloc(<usize>Reason.COUNT * 8);
  private limits: Limits;
  private readonly key: Key = newKey();
  private readonly ownKey: Key = newKey();
  /** The new flow of the packet in hand, its halves filled in as far as they are known. */
  private readonly draft: Flow = changetype<Flow>(heap.alloc(FLOW_BYTES));
  private pending: Packet | null = null;
  private rule: u32 = NO_RULE;
  private hairpin: NatSpec | null = null;
  /** `Ip.generation` and the interfaces' first addresses when they were looked at last. */
  private addressGeneration: u32 = 0;
  private readonly addresses: StaticArray<u64> = new StaticArray<u64>(256);
  /** What is being sent is our own answer to a packet that was refused. */
  private answering: bool = false;
  private readonly bogons: usize;
  private readonly bogonCount: u32;
  /** With several cores, each of which has flows of its own. */
  private owners: Owners | null = null;
  private readonly cores: u32;

  constructor(
    private readonly stack: Stack,
    settings: FirewallSettings,
  ) {
    super();
    const state = settings.state;
    const interfaces = stack.interfaces.length;
    const watcher = new Watcher();
    const steering = stack.steering;
    const cores: u32 = steering != null ? steering.cores : 1;
    const self: u32 = steering != null ? steering.self : 0;
    const maxEntries = partOf(state.maxEntries, cores);
    this.cores = cores;
    this.settings = settings;
    this.table = new FlowTable(stack, maxEntries, partOf(state.maxPerSource, cores), watcher);
    this.log = new PacketLog(stack.id);
    this.policy = compilePolicy(settings.rules, interfaces);
    this.limits = new Limits(settings.rules);
    const nat = new Nat(settings.nat, interfaces);
    // A new flow has its mapping before the oldest one goes for it.
    const mappings = new Mappings(stack, maxEntries + 1, nat, self, cores);
    watcher.mappings = mappings;
    this.nat = nat;
    this.mappings = mappings;
    this.log.names = this.policy.names;
    memory.fill(this.drops, 0, <usize>Reason.COUNT * 8);
    memory.fill(changetype<usize>(this.draft), 0, FLOW_BYTES);
    if (steering != null && cores > 1) {
      this.owners = new Owners(stack, steering, nat);
      this.steers = true;
      hearOfSpent(stack, this.limits);
    }
    const ranges = bogonRanges();
    this.bogons = heap.alloc(<usize>ranges.count * 32);
    this.bogonCount = ranges.write(this.bogons);
  }

  /** How many packets were dropped for a reason. */
  dropped(reason: Reason): u64 {
    return load<u64>(this.drops + ((<usize>reason) << 3));
  }

  // ---- hooks

  preRoute(stack: Stack, from: Interface, p: Packet): bool {
    const key = this.key;
    this.pending = null;
    if (stack.ip.generation != this.addressGeneration) this.lookAtAddresses();
    const wrong = readKey(key, p, from.index, true);
    if (wrong != Reason.NONE) return this.drop(p, wrong);
    const owners = this.owners;
    p.l4 = <u16>key.l4;
    if (key.kind == KeyKind.LINK) {
      p.cookie = LINK;
      return true;
    }
    if (key.srcLo == key.dstLo && key.srcHi == key.dstHi) return this.drop(p, Reason.LAND);
    if (key.kind == KeyKind.ERROR) {
      if (!this.comesFrom(from, key)) return this.drop(p, Reason.REVERSE_PATH);
      const half = relatedHalf(this.table, p, key, from.index);
      if (half == null && owners != null && this.handError(owners, from, p)) return false;
      return this.error(half, p);
    }
    const half = this.table.find(key);
    if (half != null) {
      // A flow's packets come in where its first ones went in or out: then the routes need not be asked again.
      const flow = half.flow;
      const place: u32 = half.direction == ORIGINAL ? flow.from : flow.to;
      if (place != from.index && !this.comesFrom(from, key)) return this.drop(p, Reason.REVERSE_PATH);
      const verdict = this.known(flow, half.direction, p);
      if (verdict != TCP_REOPENED) return verdict == 0;
    } else if (owners != null && this.handOver(owners, from, p)) {
      return false;
    }
    if (!this.comesFrom(from, key)) return this.drop(p, Reason.REVERSE_PATH);
    if (this.settings.bogons.length > 0 && this.isBogon(from, key)) return this.drop(p, Reason.BOGON);
    if ((key.tag & TAG_ANSWER) != 0) return this.drop(p, Reason.UNRELATED);
    if (!key.begins && !this.midstream(p)) return false;

    const draft = this.draft;
    const original = draft.half(ORIGINAL);
    setHalf(original, key);
    turnHalf(draft.half(REPLY), original);
    draft.status = 0;
    draft.mapping = 0;
    this.hairpin = null;
    p.cookie = 0;
    this.pending = p;
    if ((p.flags & GROUP) == 0) this.translateDestination(from, p);
    return true;
  }

  forward(stack: Stack, from: Interface, to: Interface, p: Packet): bool {
    const cookie = p.cookie;
    if (cookie == 0) {
      if (!this.judge(p, this.key, from.index, to.index)) return false;
    } else if (cookie == LINK) {
      return this.drop(p, Reason.RULE_DROP);
    }
    if (this.settings.mssClamp >= 0) this.clamp(from, to, p);
    return true;
  }

  input(stack: Stack, from: Interface, p: Packet): bool {
    if (p.cookie != 0) return true;
    const key = this.key;
    // Our own DHCP: its answers may come to an address that we do not have yet.
    if (
      key.protocol == Protocol.UDP &&
      ((from.dhcp != null && key.dstPort == DHCP_CLIENT) || key.dstPort == DHCP6_CLIENT)
    )
      return this.pass(p);
    if (!this.judge(p, key, from.index, <u32>this.stack.interfaces.length)) return false;
    // What goes to many has no answer that could be told from others.
    if (key.kind == KeyKind.STATELESS || (p.flags & GROUP) != 0 || isMulticast(key.dstHi, key.dstLo))
      return this.pass(p);
    this.draft.status |= <u32>Status.LOCAL;
    return this.establish(p, key, from.index, <u32>this.stack.interfaces.length);
  }

  output(stack: Stack, to: Interface, p: Packet): bool {
    if (this.answering) return this.pass(p);
    const key = this.ownKey;
    if (readKey(key, p, to.index, false) != Reason.NONE || key.kind == KeyKind.LINK) {
      p.cookie = PASS;
      return true;
    }
    p.l4 = <u16>key.l4;
    if (key.kind == KeyKind.ERROR) {
      const half = relatedHalf(this.table, p, key, to.index);
      if (half != null) translateError(half.flow, half.direction, p, key, false);
      else if (
        this.pending != null &&
        (this.draft.status & (<u32>Status.DESTINATION_NAT)) != 0 &&
        quotesDraft(this.draft, p, key, to.index)
      )
        translateError(this.draft, REPLY, p, key, false);
      p.cookie = PASS;
      return true;
    }
    const half = this.table.find(key);
    if (half != null) {
      const flow = half.flow;
      if (this.track(flow, half.direction, p, key, true) != TCP_REOPENED) {
        p.cookie = changetype<u32>(flow) | (<u32>half.direction);
        return true;
      }
    }
    const rule = this.policy.lookup(key, <u32>this.stack.interfaces.length, to.index);
    if (rule != NO_RULE) {
      this.count(rule);
      if (this.policy.rule(rule).action != Action.ACCEPT) return this.drop(p, Reason.RULE_DROP);
    }
    if (key.kind != KeyKind.FLOW || !key.begins || isMulticast(key.dstHi, key.dstLo) || key.dstLo == 0xffffffffffff) {
      p.cookie = PASS;
      return true;
    }
    const draft = this.draft;
    setHalf(draft.half(ORIGINAL), key);
    turnHalf(draft.half(REPLY), draft.half(ORIGINAL));
    draft.status = <u32>Status.LOCAL;
    draft.mapping = 0;
    this.hairpin = null;
    this.rule = rule;
    this.pending = p;
    p.cookie = 0;
    return true;
  }

  postRoute(stack: Stack, to: Interface, p: Packet): bool {
    const cookie = p.cookie;
    if (cookie < NO_FLOW) {
      if (cookie != 0 || this.pending != p) return true;
      const own = this.draft.has(Status.LOCAL);
      const key = own ? this.ownKey : this.key;
      if (key.kind == KeyKind.STATELESS) return this.pass(p);
      if (!this.translateSource(to, p, key, own)) return false;
      if (!this.establish(p, key, own ? <u32>this.stack.interfaces.length : <u32>p.iface, to.index)) return false;
    }
    const flow = changetype<Flow>(<usize>(p.cookie & ~1));
    const direction = p.cookie & 1;
    const wanted = direction == ORIGINAL ? Status.SOURCE_NAT : Status.DESTINATION_NAT;
    if (flow.has(wanted)) {
      const other = flow.half(direction ^ 1);
      this.setEnd(p, End.SOURCE, flow.half(ORIGINAL), direction, other.dstHi, other.dstLo, other.dstPort);
    }
    return true;
  }

  // ---- known flows

  // A packet of a known flow: 0 it goes on, TCP_REOPENED it begins a new flow, above 0 it was dropped.
  private known(flow: Flow, direction: u32, p: Packet): i32 {
    const now = this.stack.now_ns;
    if (flow.expires_ns <= now) {
      this.table.remove(flow);
      return TCP_REOPENED;
    }
    if (flow.policy != this.generation && !this.recheck(flow)) {
      this.table.remove(flow);
      this.drop(p, Reason.RECHECK);
      return Reason.RECHECK;
    }
    const key = this.key;
    const verdict = this.track(flow, direction, p, key, false);
    if (verdict != 0) {
      if (verdict > 0) this.drop(p, verdict);
      return verdict;
    }
    // ICMP has no connections: a limit counts each query.
    if (key.protocol == Protocol.ICMP || key.protocol == Protocol.ICMPV6) {
      if (direction == ORIGINAL && flow.rule != NO_RULE && flow.policy == this.generation) {
        const limit = this.policy.rule(flow.rule).limit;
        if (limit != 0 && !this.allow(limit, key)) {
          this.drop(p, Reason.LIMIT);
          return Reason.LIMIT;
        }
      }
    }
    p.cookie = changetype<u32>(flow) | direction;
    const wanted = direction == ORIGINAL ? Status.DESTINATION_NAT : Status.SOURCE_NAT;
    if (flow.has(wanted)) {
      const other = flow.half(direction ^ 1);
      this.setEnd(p, End.DESTINATION, flow.half(ORIGINAL), direction, other.srcHi, other.srcLo, other.srcPort);
    }
    return 0;
  }

  // Brings a flow's state and age up to date. `own`: the machine's own packets, which are believed.
  private track(flow: Flow, direction: u32, p: Packet, key: Key, own: bool): i32 {
    let replied = direction == REPLY;
    if (key.protocol == Protocol.TCP) {
      const loose = own || flow.has(Status.LOOSE);
      const verdict = trackTcp(flow, direction, p, key.l4, key.bytes, key.flags, loose);
      if (verdict == TCP_REOPENED) this.table.remove(flow);
      if (verdict != 0) return verdict;
      // Half-open connections stay those that go first, and those that have ended become it.
      replied = flow.state == TcpState.ESTABLISHED || flow.state == TcpState.CLOSING;
      if (flow.state >= TcpState.TIME_WAIT && !flow.young) this.table.retire(flow);
    }
    if (replied && !flow.has(Status.REPLIED)) {
      flow.status |= <u32>Status.REPLIED;
      this.table.settle(flow);
    }
    if (direction == ORIGINAL) {
      flow.packets0++;
      flow.bytes0 += p.totalLen;
    } else {
      flow.packets1++;
      flow.bytes1 += p.totalLen;
    }
    this.table.expire(flow, this.stack.now_ns + this.lifetime(flow, key.protocol));
    return 0;
  }

  private lifetime(flow: Flow, protocol: u32): i64 {
    const state = this.settings.state;
    const pressed = this.table.count > this.table.limit - (this.table.limit >> 2);
    let time: i64 = 0;
    switch (protocol) {
      case Protocol.TCP:
        if (flow.state == TcpState.ESTABLISHED) return state.tcpEstablished_ns;
        if (flow.state == TcpState.CLOSED) return CLOSED_NS;
        time = flow.state == TcpState.TIME_WAIT ? min(TIME_WAIT_NS, state.tcpTransitory_ns) : state.tcpTransitory_ns;
        break;
      case Protocol.ICMP:
      case Protocol.ICMPV6:
        time = state.icmp_ns;
        break;
      default:
        time = flow.has(Status.REPLIED) ? state.udpReplied_ns : state.udp_ns;
    }
    return pressed ? time / 4 : time;
  }

  // An ICMP error: of a known flow it goes on, translated; any other is dropped.
  private error(half: Half | null, p: Packet): bool {
    const key = this.key;
    if (half == null) return this.drop(p, Reason.UNRELATED);
    translateError(half.flow, half.direction, p, key, true);
    p.cookie = PASS;
    return true;
  }

  // ---- other cores

  // A packet of no flow that this core knows: true when it has gone to the core that owns its flow.
  private handOver(owners: Owners, from: Interface, p: Packet): bool {
    const steering = this.stack.steering!;
    const key = this.key;
    // What was handed to core 0 goes no further.
    if (key.kind != KeyKind.FLOW || (p.flags & GROUP) != 0 || (steering.handed && steering.self == 0)) return false;
    let owner = steering.handed ? steering.self : owners.of(key, from.index);
    if (owner == steering.self) {
      if (owner == 0) return false;
      // Core 0 has what is for ourselves, and may have connections from before this core was there.
      const ours = this.stack.ip.isLocal(key.dstHi, key.dstLo);
      if (key.begins && !(ours && this.nat.findDestination(this.stack, key, from.index) == null)) return false;
      owner = 0;
    }
    p.flags |= PacketFlag.CHECKSUM_OK;
    steering.handFiltered(from, p, owner);
    return true;
  }

  private handError(owners: Owners, from: Interface, p: Packet): bool {
    const steering = this.stack.steering!;
    const inner = this.ownKey;
    if ((steering.handed && steering.self == 0) || !errorKey(inner, p, this.key, from.index)) return false;
    let owner = steering.handed ? 0 : owners.of(inner, from.index);
    // Of no flow here: a connection of our own, perhaps.
    if (owner == steering.self) owner = 0;
    if (owner == steering.self) return false;
    steering.handFiltered(from, p, owner);
    return true;
  }

  // ---- new flows

  /** Is a packet's source where it came from (RFC 3704), as far as that is asked? */
  comesFrom(from: Interface, key: Key): bool {
    const asked = this.settings.reversePath;
    if (asked == ReversePath.OFF || (key.srcHi == 0 && (key.srcLo == 0 || key.srcLo == V4_PREFIX))) return true;
    const loose = asked == ReversePath.LOOSE;
    return reversePathHolds(this.stack, from, loose, key.srcHi, key.srcLo, key.dstHi, key.dstLo);
  }

  /** Is a packet's source one that cannot come in by this interface? */
  isBogon(from: Interface, key: Key): bool {
    if (!this.settings.bogons.includes(from.index)) return false;
    if (!inRanges(this.bogons, this.bogonCount, key.srcHi, key.srcLo)) return false;
    // The link's own prefix may be private, and with it the gateway.
    const entry = this.stack.ip.table.lookup(key.srcHi, key.srcLo);
    return entry == null || entry.iface != from.index || (entry.hopHi | entry.hopLo) != 0;
  }

  // TCP that belongs to nothing. True when it may begin a flow.
  private midstream(p: Packet): bool {
    const key = this.key;
    const how = this.settings.state.midstream;
    if (how == Midstream.PICKUP && (key.flags & (TcpFlag.SYN | TcpFlag.RST)) == 0) return true;
    if (how == Midstream.REJECT) this.answer(p, key);
    this.drop(p, Reason.MIDSTREAM);
    return false;
  }

  private translateDestination(from: Interface, p: Packet): void {
    const key = this.key;
    const spec = this.nat.destination(this.stack, key, from.index);
    if (spec == null) return;
    const port: u32 = spec.targetPort != 0 ? spec.targetPort : key.dstPort;
    const draft = this.draft;
    const reply = draft.half(REPLY);
    reply.srcHi = spec.targetHi;
    reply.srcLo = spec.targetLo;
    if (key.protocol == Protocol.TCP || key.protocol == Protocol.UDP) reply.srcPort = <u16>port;
    draft.status |= <u32>Status.DESTINATION_NAT;
    if (spec.type == NatType.PORT_FORWARD) {
      draft.status |= <u32>Status.FORWARDED_PORT;
      if (!spec.from.holds(from.index, this.stack.interfaces.length)) this.hairpin = spec;
    }
    this.setEnd(p, End.DESTINATION, draft.half(ORIGINAL), ORIGINAL, spec.targetHi, spec.targetLo, reply.srcPort);
    // Rules see the translated destination.
    key.dstHi = spec.targetHi;
    key.dstLo = spec.targetLo;
    key.dstPort = reply.srcPort;
    if (key.protocol == Protocol.TCP || key.protocol == Protocol.UDP) key.selector = key.dstPort;
  }

  // Sets an end of a packet of a flow, whose original half tells what ICMP's identifier belongs to.
  private setEnd(p: Packet, end: End, original: Half, direction: u32, hi: u64, lo: u64, port: u32): void {
    const protocol = (<u32>original.tag) & 0xff;
    // Queries have their identifier at the source, answers at the destination.
    const icmp = protocol == Protocol.ICMP || protocol == Protocol.ICMPV6;
    const keeps = icmp && (end == End.SOURCE) != (direction == ORIGINAL);
    setPacketEnd(p, end, p.l4, protocol, hi, lo, keeps ? KEEP : port);
  }

  // The rules' word on the pending packet: true when it is accepted. Else it was answered and dropped.
  private judge(p: Packet, key: Key, from: u32, to: u32): bool {
    if (this.pending != p) return this.drop(p, Reason.RULE_DROP);
    this.rule = NO_RULE;
    if (this.draft.has(Status.FORWARDED_PORT)) {
      this.accepted++;
      return true;
    }
    const index = this.policy.lookup(key, from, to);
    let action = this.settings.fallback;
    let reason = Reason.DEFAULT;
    if (index != NO_RULE) {
      const rule = this.policy.rule(index);
      this.count(index);
      action = rule.action;
      reason = action == Action.DROP ? Reason.RULE_DROP : Reason.RULE_REJECT;
      if (action == Action.ACCEPT) reason = Reason.NONE;
      if (rule.limit != 0 && !this.allow(rule.limit, key)) {
        action = Action.DROP;
        reason = Reason.LIMIT;
      }
      if (rule.log) this.log.add(key, from, to, index, reason);
    } else if (action == Action.ACCEPT) {
      reason = Reason.NONE;
    }
    this.rule = index;
    if (action == Action.ACCEPT) {
      this.accepted++;
      return true;
    }
    if (action == Action.REJECT) {
      this.untranslate(p);
      this.answer(p, key);
    }
    return this.drop(p, reason);
  }

  private allow(limit: u32, key: Key): bool {
    if (!this.limits.allow(this.stack, limit, key.srcHi, key.srcLo)) return false;
    if (this.owners != null) shareSpent(this.stack.steering!.serving, limit, key.srcHi, key.srcLo);
    return true;
  }


  @inline private count(index: u32): void {
    const rule = this.policy.rule(index);
    rule.hits++;
    rule.last_ns = this.stack.now_ns;
  }

  // Takes a destination's translation back before its sender is told.
  private untranslate(p: Packet): void {
    const draft = this.draft;
    if (!draft.has(Status.DESTINATION_NAT)) return;
    const original = draft.half(ORIGINAL);
    this.setEnd(p, End.DESTINATION, original, ORIGINAL, original.dstHi, original.dstLo, original.dstPort);
    const key = this.key;
    key.dstHi = original.dstHi;
    key.dstLo = original.dstLo;
    key.dstPort = original.dstPort;
  }

  private answer(p: Packet, key: Key): void {
    if ((p.flags & GROUP) != 0) return;
    this.answering = true;
    reject(this.stack, p, key);
    this.answering = false;
  }

  private translateSource(to: Interface, p: Packet, key: Key, own: bool): bool {
    const draft = this.draft;
    const reply = draft.half(REPLY);
    const original = draft.half(ORIGINAL);
    const ported = hasPorts(key.protocol);
    let hi: u64 = 0;
    let lo: u64 = 0;
    if (this.hairpin != null) {
      // RFC 5382, 5: the internal server sees the client's external address.
      hi = original.dstHi;
      lo = original.dstLo;
    } else if (own) {
      // Our own ports and those given out are one space; one of another core's may be given out there.
      const port = <u32>key.srcPort;
      const mine = port < PORT_MIN || this.mappings.owns(port);
      if (!ported || (mine && this.mappings.holder(key.protocol, key.srcHi, key.srcLo, port) == null)) return true;
      hi = key.srcHi;
      lo = key.srcLo;
    } else {
      const spec = this.nat.source(this.stack, key, to.index);
      if (spec == null || spec.type == NatType.NONE) return true;
      if (spec.type == NatType.MASQUERADE) draft.status |= <u32>Status.MASQUERADED;
      lo = externalOf(spec, to, key);
      hi = externalHi;
      if ((hi | lo) == 0) return this.drop(p, Reason.NO_PORT);
      if (spec.type == NatType.ONE_TO_ONE || !ported) {
        reply.dstHi = hi;
        reply.dstLo = lo;
        draft.status |= <u32>Status.SOURCE_NAT;
        return true;
      }
    }
    const mapping = this.mappings.acquire(key.protocol, key.srcHi, key.srcLo, <u32>key.srcPort, hi, lo);
    if (mapping == null) return this.drop(p, Reason.NO_PORT);
    draft.mapping = changetype<usize>(mapping);
    reply.dstHi = hi;
    reply.dstLo = lo;
    reply.dstPort = mapping.externalPort;
    draft.status |= <u32>Status.SOURCE_NAT;
    return true;
  }

  // Makes the pending packet's flow; false: there is no room for it, and the packet was dropped.
  private establish(p: Packet, key: Key, from: u32, to: u32): bool {
    this.pending = null;
    const draft = this.draft;
    let reason = Reason.TABLE_FULL;
    const flow = this.table.take();
    if (flow != null) {
      memory.copy(changetype<usize>(flow), changetype<usize>(draft), 2 * offsetof<Half>());
      flow.half(REPLY).direction = <u16>REPLY;
      flow.half(ORIGINAL).direction = <u16>ORIGINAL;
      flow.status = draft.status;
      flow.rule = this.rule;
      flow.policy = this.generation;
      flow.from = <u16>from;
      flow.to = <u16>to;
      flow.packets0 = 1;
      flow.bytes0 = p.totalLen;
      if (key.protocol == Protocol.TCP) {
        beginTcp(flow, p, p.l4, key.bytes, key.flags);
        if (!this.settings.state.strictTcp || !key.begins) flow.status |= <u32>Status.LOOSE;
      }
      flow.expires_ns = this.stack.now_ns + this.lifetime(flow, key.protocol);
      reason = Reason.COLLISION;
      if (!this.table.holds(flow.half(REPLY))) {
        reason = Reason.SOURCE_FULL;
        if (this.table.add(flow)) {
          flow.mapping = draft.mapping;
          draft.mapping = 0;
          p.cookie = changetype<u32>(flow);
          return true;
        }
      }
      this.table.untake(flow);
    }
    if (draft.mapping != 0) this.mappings.release(changetype<Mapping>(draft.mapping));
    draft.mapping = 0;
    return this.drop(p, reason);
  }

  // ---- new addresses

  // Ends what was masqueraded behind an address that its interface no longer has: the replies could not find back.
  private lookAtAddresses(): void {
    this.addressGeneration = this.stack.ip.generation;
    const interfaces = this.stack.interfaces;
    for (let i = 0, n = min(interfaces.length, this.addresses.length); i < n; i++) {
      const now = unchecked(interfaces[i]).firstV4;
      const before = unchecked(this.addresses[i]);
      if (now == before) continue;
      unchecked((this.addresses[i] = now));
      if (before != 0) this.endMasqueraded(before);
    }
  }

  private endMasqueraded(lo: u64): void {
    for (let ring: u32 = 0; ring < this.table.rings; ring++) {
      let flow = this.table.firstFrom(ring);
      while (flow != null) {
        const next: Flow | null = flow.wheelNext;
        if (flow.has(Status.MASQUERADED) && flow.half(REPLY).dstLo == lo) this.table.remove(flow);
        flow = next;
      }
    }
  }

  // ---- new policies

  /** Takes new rules and translations from now on. What flows there are, is judged again when their next packet comes. */
  replace(settings: FirewallSettings): void {
    const interfaces = this.stack.interfaces.length;
    const old = this.policy;
    const oldLimits = this.limits;
    const oldNat = this.nat;
    this.log.flush();
    this.policy = compilePolicy(settings.rules, interfaces);
    this.limits = new Limits(settings.rules);
    this.nat = new Nat(settings.nat, interfaces);
    this.mappings.keeper = this.nat;
    const owners = this.owners;
    if (owners != null) {
      owners.replace(this.nat);
      hearOfSpent(this.stack, this.limits);
    }
    this.settings = settings;
    this.log.names = this.policy.names;
    this.table.limit = partOf(settings.state.maxEntries, this.cores);
    this.table.perSource = partOf(settings.state.maxPerSource, this.cores);
    this.generation++;
    old.free();
    oldLimits.free();
    oldNat.free();
  }

  // Whether the policy of today would let a flow in. Its translation it keeps.
  private recheck(flow: Flow): bool {
    flow.policy = this.generation;
    const original = flow.half(ORIGINAL);
    const reply = flow.half(REPLY);
    flow.rule = NO_RULE;
    if (!this.settings.state.recheck) return true;
    const key = this.ownKey;
    key.v6 = original.dstHi != 0;
    key.srcHi = original.srcHi;
    key.srcLo = original.srcLo;
    key.srcPort = original.srcPort;
    key.protocol = (<u32>original.tag) & 0xff;
    key.portHi = 0;
    key.selectorHi = 0;
    key.flags = TcpFlag.SYN;
    if (flow.has(Status.FORWARDED_PORT)) {
      key.dstHi = original.dstHi;
      key.dstLo = original.dstLo;
      key.selector = original.dstPort;
      const spec = this.nat.destination(this.stack, key, flow.from);
      return spec != null && spec.targetHi == reply.srcHi && spec.targetLo == reply.srcLo;
    }
    key.dstHi = reply.srcHi;
    key.dstLo = reply.srcLo;
    key.selector = reply.srcPort;
    if (key.protocol == Protocol.ICMP || key.protocol == Protocol.ICMPV6) key.selector = (<u64>original.dstPort) << 8;
    else if (key.protocol != Protocol.TCP && key.protocol != Protocol.UDP) key.selector = key.protocol;
    const index = this.policy.lookup(key, flow.from, flow.to);
    flow.rule = index;
    if (index != NO_RULE) return this.policy.rule(index).action == Action.ACCEPT;
    return <i32>flow.from == this.stack.interfaces.length || this.settings.fallback == Action.ACCEPT;
  }

  // ---- ends

  private clamp(from: Interface, to: Interface, p: Packet): void {
    const at = p.data + p.l4;
    const v6 = load<u8>(p.data) >> 4 == 6;
    // Only what preRoute has read as TCP: its header lies in the linear part.
    const cookie = p.cookie;
    const tag =
      cookie == 0
        ? this.key.tag
        : cookie < NO_FLOW
          ? 0
          : <u32>changetype<Flow>(<usize>(cookie & ~1)).half(ORIGINAL).tag;
    if (tag != Protocol.TCP || (tcpFlags(at) & TcpFlag.SYN) == 0) return;
    const wanted = <u32>this.settings.mssClamp;
    const most = min(from.mtu, to.mtu) - (v6 ? 60 : 40);
    clampMss(p, p.l4, tcpHeaderBytes(at), wanted != 0 ? min(wanted, most) : most);
  }


  @inline private pass(p: Packet): bool {
    p.cookie = PASS;
    this.pending = null;
    return true;
  }

  private drop(p: Packet, reason: u32): bool {
    const at = this.drops + ((<usize>reason) << 3);
    store<u64>(at, load<u64>(at) + 1);
    this.pending = null;
    p.free();
    return false;
  }
}
