// JSON: the parser, documents with positions, what is wrong with them, the writer.
export { JsonDocument, JsonKind } from "./document";
export { parseJson, MAX_DEPTH } from "./parser";
export { Problem, Problems } from "./problems";
export { encodeString, quote } from "./text";
export { JsonWriter } from "./writer";
