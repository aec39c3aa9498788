// The public face of DHCP.

export { DhcpClient, DhcpHandler, DhcpState } from "./client";
