// What a context is made of, besides tls.h.
#pragma once
#include "tls.h"

// The secret from which ticket keys follow, from `secrets/NAME` of the bundle. 0, ENOENT, EINVAL: shorter than 32 bytes.
u32 tls_ticket_secret(const char* name);
