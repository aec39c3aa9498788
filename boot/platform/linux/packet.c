// What an AF_PACKET socket takes out of a received frame, put back. A frame from the kernel's own stack comes without its
// checksum when the sender left that to the device (the header says where), and every frame comes without its VLAN tag.
// Slow (two copies), and only for frames that need it.
#include <string.h>
#include "host.h"

#define ADDRESSES_BYTES 12u  // destination and source
#define TAG_BYTES 4u

static __thread u8 frame[NET_HEADER_BYTES + FRAME_MAX_BYTES + TAG_BYTES];

static void put_u16(u8* at, u32 value) {
  at[0] = (u8)(value >> 8);
  at[1] = (u8)value;
}

// RFC 1071 over [start, end); the field holds the pseudo header's sum already.
static bool complete_checksum(u32 start, u32 offset, u32 end) {
  if (start + offset + 2 > end) return false;
  u32 sum = 0;
  for (u32 i = start; i + 1 < end; i += 2) sum += (u32)(frame[i] << 8 | frame[i + 1]);
  if ((end - start) & 1) sum += (u32)(frame[end - 1] << 8);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~sum & 0xffff;
  put_u16(frame + start + offset, sum ? sum : 0xffff);  // 0 means "none" in UDP; to TCP both are the same number
  return true;
}

bool packet_repair(struct link* link, struct net_header* header, const struct iovec* parts, int count, u64 room, u32* bytes,
                   const struct vlan_tag* tag) {
  u32 skip = link->header_bytes;                   // the list's bytes in front of the frame
  u32 length = *bytes - NET_HEADER_BYTES;
  u32 result = length + (tag ? TAG_BYTES : 0);
  if (NET_HEADER_BYTES + result > room || skip + result > sizeof frame) {
    link->lost_long++;
    return false;
  }
  u8* data = frame + skip;
  u32 at = 0;
  for (int i = 0; i < count && at < skip + length; i++) {
    u32 part = (u32)parts[i].iov_len;
    if (part > skip + length - at) part = skip + length - at;
    memcpy(frame + at, parts[i].iov_base, part);
    at += part;
  }
  if (tag) {
    memmove(data + ADDRESSES_BYTES + TAG_BYTES, data + ADDRESSES_BYTES, length - ADDRESSES_BYTES);
    put_u16(data + ADDRESSES_BYTES, tag->tpid);
    put_u16(data + ADDRESSES_BYTES + 2, tag->tci);
    if (header->flags & NET_HEADER_NEEDS_CSUM) header->checksum_start = (u16)(header->checksum_start + TAG_BYTES);
    if (header->gso_type) header->header_length = (u16)(header->header_length + TAG_BYTES);
  }
  if ((header->flags & NET_HEADER_NEEDS_CSUM) && !(link->accepted & VIRTIO_NET_F_GUEST_CSUM)) {
    if (!complete_checksum(skip + header->checksum_start, header->checksum_offset, skip + result)) return false;
    header->flags &= (u8)~NET_HEADER_NEEDS_CSUM;
  }
  memcpy(frame, header, skip);                     // the list's first element is the header: keep what it says now
  at = 0;
  for (int i = 0; i < count && at < skip + result; i++) {
    u32 part = (u32)parts[i].iov_len;
    if (part > skip + result - at) part = skip + result - at;
    memcpy(parts[i].iov_base, frame + at, part);
    at += part;
  }
  *bytes = NET_HEADER_BYTES + result;
  return true;
}
