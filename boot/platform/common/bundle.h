// A bundle as the platform sees it: a ustar archive (POSIX.1-1988) or plain JSON, hostile either way. The platform only
// takes the members under secrets/ out, so that sandboxed code never sees them; the rest is parsed in the sandbox.
#pragma once
#include "core.h"

struct bundle_secret {
  char name[100];          // path below secrets/
  const u8* data;          // native memory
  u32 length;
};

// Copies the contents of secrets/ members to native memory and overwrites them with zeros in [bytes, bytes + length).
// Where an archive stops to make sense, its remainder is overwritten too: what the platform cannot read, nobody does.
// False when that happened or when the secrets were too many or too large; what was copied until then is kept.
bool bundle_seal(u8* bytes, u64 length);

// The secret of that path below secrets/, or NULL. The last one wins, as when unpacking.
const struct bundle_secret* bundle_secret(const char* name);
