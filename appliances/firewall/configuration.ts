// The section `firewall` of a configuration (CONFIG.md, Firewall): zones, aliases, rules, translations, state, hygiene. The
// image, `heddle check` and `heddle explain` read it by this one function.
// clang: -Oz

import { Bundles, Card, Configuration, info, Info, MachineConfiguration, readMachine, Section } from "../../runtime";
import {
  formatAddress,
  InterfaceSettings,
  isV4,
  NetworkSettings,
  parseAddress,
  readNetwork,
  ReversePath,
  samePrefix,
} from "../../net";
import { Action, FirewallSettings, FLOW_BYTES, NatSpec, NatType, StateSettings } from "../../net/filter";
import { Names } from "./names";
import { ACTIONS, readNat, readRules } from "./rules";

/** Bytes that an entry of the connection table needs in all: itself, its buckets, its source, its mapping. */
const ENTRY_BYTES: u64 = <u64>FLOW_BYTES + 24;

export class FirewallConfiguration {
  constructor(
    readonly machine: MachineConfiguration,
    readonly network: NetworkSettings,
    readonly firewall: FirewallSettings,
    readonly interfaces: Array<string>,
  ) {}
}

/**
 * Reads a whole configuration; what is wrong goes to its problems, and it may be used only when there are none.
 * @param cards the machine's cards, or null where there is no machine
 */
export function readConfiguration(
  configuration: Configuration,
  bundles: Bundles,
  cards: Array<Card> | null,
): FirewallConfiguration {
  const root = configuration.root;
  const machine = readMachine(root);
  const network = readNetwork(root, machine, cards, true);
  const section = root.section("firewall");
  const interfaces = interfaceOrder(network);
  const names = new Names(section.source, interfaces);
  names.read(section);
  const settings = new FirewallSettings();
  settings.fallback = section.choice("default", ACTIONS, Action.DROP);
  readState(section.section("state"), settings.state);
  const hygiene = section.section("hygiene");
  settings.reversePath = <u32>hygiene.choice("reversePath", ["off", "strict", "loose"], ReversePath.STRICT);
  const bogons = hygiene.has("bogons") ? names.places(hygiene, "bogons") : null;
  for (let i = 0; bogons != null && i < interfaces.length; i++)
    if (bogons.holds(i, interfaces.length)) settings.bogons.push(i);
  settings.mssClamp = readClamp(hygiene);
  hygiene.finish();
  settings.nat = readNat(section, names);
  settings.rules = readRules(section, names);
  section.finish();
  root.notYet(["management", "tls", "loadBalancer", "httpServer"]);
  root.finish();
  addExternals(network, settings.nat, interfaces);
  return new FirewallConfiguration(machine, network, settings, interfaces);
}

/** Names of the interfaces in the order in which a stack numbers them: cards, then VLANs (net/configure.ts). */
function interfaceOrder(network: NetworkSettings): Array<string> {
  const names = new Array<string>();
  for (let i = 0; i < network.interfaces.length; i++)
    if (network.interfaces[i].vlan == 0) names.push(network.interfaces[i].name);
  for (let i = 0; i < network.interfaces.length; i++)
    if (network.interfaces[i].vlan != 0) names.push(network.interfaces[i].name);
  return names;
}

function readState(section: Section, state: StateSettings): void {
  const memory = <u64>info(Info.MEMORY_BYTES);
  // An eighth of the memory, when nobody says.
  const natural: u64 = memory == 0 ? 65536 : min<u64>(max<u64>(memory / 8 / ENTRY_BYTES, 1024), 262144);
  state.maxEntries = <u32>section.count("maxEntries", natural, 256, 4_000_000);
  const needed = <u64>state.maxEntries * ENTRY_BYTES;
  if (memory != 0 && needed > memory / 2)
    section.source.fail(
      section.get("maxEntries"),
      "needs " +
        (needed >> 20).toString() +
        " MiB, more than half of the machine's " +
        (memory >> 20).toString() +
        " MiB",
    );
  state.maxPerSource = <u32>section.count("maxPerSource", state.maxEntries, 1, 4_000_000);
  state.recheck = section.choice("onReload", ["recheck", "keep"], 0) == 0;
  state.midstream = section.choice("midstream", ["reject", "drop", "pickup"], 0);
  state.strictTcp = section.flag("strictTcp", true);
  const timeouts = section.section("timeouts");
  state.tcpTransitory_ns = timeouts.duration("tcpTransitory", "4m", "5s", "1h");
  state.tcpEstablished_ns = timeouts.duration("tcpEstablished", "2h4m", "1m", "30d");
  state.udp_ns = timeouts.duration("udp", "2m", "1s", "1h");
  state.udpReplied_ns = timeouts.duration("udpReplied", "5m", "1s", "1d");
  state.icmp_ns = timeouts.duration("icmp", "60s", "1s", "1h");
  timeouts.finish();
  section.finish();
}

/** "pmtu", or bytes; -1 when the key is absent. */
function readClamp(section: Section): i32 {
  const node = section.get("mssClamp");
  if (node == 0) return -1;
  const wanted = '"pmtu" or a number of bytes, 536 to 65495';
  if (section.document.isNumber(node)) return <i32>section.source.integer(node, 536, 65495, wanted);
  const text = section.source.text(node, wanted);
  if (text != null && text != "pmtu") section.source.wrong(node, wanted);
  return 0;
}

/** External addresses inside the network of an interface are answered for there: it gets them as addresses of its own. */
function addExternals(network: NetworkSettings, nat: Array<NatSpec>, interfaces: Array<string>): void {
  for (let i = 0; i < nat.length; i++) {
    const spec = nat[i];
    if (!spec.hasExternal) continue;
    const places = spec.type == NatType.PORT_FORWARD || spec.type == NatType.ONE_TO_ONE ? spec.from : spec.to;
    for (let lo = spec.externalLo; lo <= spec.externalLastLo && lo - spec.externalLo < 64; lo++) {
      for (let k = 0; k < interfaces.length; k++) {
        const one = network.interfaceNamed(interfaces[k]);
        if (one != null && places.holds(k, interfaces.length) && mayAdd(one, spec.externalHi, lo)) {
          one.addresses.push(formatAddress(spec.externalHi, lo) + (isV4(spec.externalHi, lo) ? "/32" : "/128"));
          break;
        }
      }
    }
  }
}

/** Is an address in a network of the interface, and not yet its own? */
function mayAdd(one: InterfaceSettings, hi: u64, lo: u64): bool {
  let inside = false;
  for (let i = 0; i < one.addresses.length; i++) {
    const own = parseAddress(one.addresses[i]);
    if (!own.ok) continue;
    if (own.hi == hi && own.lo == lo) return false;
    if (own.prefix >= 0 && own.prefix < 128 && samePrefix(own.hi, own.lo, hi, lo, <u32>own.prefix)) inside = true;
  }
  return inside;
}
