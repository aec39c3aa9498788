export {
  coreCount,
  coreNumber,
  coresBroken,
  flushCores,
  framesRefused,
  framesSent,
  messagesSent,
  openPort,
  post,
  sendFrame,
} from "./cores";
export { CoreMessage } from "./message-ring";
export { FrameTaker } from "./peer";
export { coresUp, coresWanted, startCores, useCores } from "./start";
export {
  acknowledge,
  isEverywhere,
  onPublished,
  publish,
  publishedBytes,
  publishedVersion,
  readPublished,
  Topic,
} from "./published";
