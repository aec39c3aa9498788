// Management, which the appliances share: what they all read, and the listener by which a machine is asked and changed.
export { Appliance } from "./appliance";
export { CommonSettings, readCommon } from "./common";
export { Control } from "./control";
export { label, Metrics, snake } from "./metrics";
export { startManagement } from "./server";
