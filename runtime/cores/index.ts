export { coreCount, coreNumber, coresBroken, initCores, messagesSent, post, startCores } from "./cores";
export { CoreMessage } from "./message-ring";
