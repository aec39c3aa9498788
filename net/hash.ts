// SipHash, the keyed hash of tables that a peer can fill, for what lies in net/.
export { sipHash } from "../runtime";
