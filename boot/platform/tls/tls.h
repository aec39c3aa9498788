// The TLS library (AWS-LC) behind handles: what the files of this folder give each other. Linked only into images whose
// module imports one of the functions below; their contracts stand in runtime/platform.ts.
//
//   module --tlsStep(handle, io)--> checks --tls_call--> the core's TLS stack: SSL_read, SSL_write
//                                                        BIO: `io`'s regions in linear memory, no copy of its own
//
// Invariants
// 1. Keys, secrets, sessions and the library's heap are native memory: nothing but ciphertext, the plaintext of a connection
//    and what certificates say in public crosses.
// 2. A core uses only what it made itself: contexts, connections, its heap. Shared are the ticket secret, which never
//    changes once it is used, and what the library initialises once.
// 3. The library runs on a stack of its own with a guard, so that fibers need none of its 26 KiB.
#pragma once
#include "../common/platform.h"
#include <openssl/ssl.h>

enum { TLS_EPERM = -1, TLS_ENOENT = -2, TLS_ENOMEM = -12, TLS_EINVAL = -22, TLS_ENOSPC = -28, TLS_EPROTO = -71 };

#define TLS_CONTEXTS 64u
#define TLS_CERTIFICATES 64u   // of a context
#define TLS_STACK_BYTES 0x20000u

struct tls_connection;

// One certificate with its chain and key, in the SSL_CTX that holds all those for the same names.
struct tls_certificate {
  SSL_CTX* ssl;
  X509* leaf;
};

struct tls_context {
  bool client;
  u32 policy;
  u32 certificate_count;
  struct tls_certificate certificates[TLS_CERTIFICATES];
  SSL_CTX* first;              // what a connection begins with
  X509_STORE* trust;           // who may sign the peers' certificates; NULL: a server asks for none
  int verify;                  // SSL_VERIFY_...
  u8 alpn[64];                 // protocols in the form of RFC 7301, 3.1
  u32 alpn_length;
};

// What a core has.
struct tls_core {
  u8* stack;
  BIO_METHOD* bio;
  struct tls_context* contexts[TLS_CONTEXTS];
  u32 context_count;
  struct tls_connection** connections;
  u32 connection_room, connection_count;   // slots; slots ever used
  u32 free;                                // slot + 1
};

// The calling core's; NULL without memory. Prepares library and core at the first call.
struct tls_core* tls_core(struct core* core);
// Calls `function(argument)` on the core's TLS stack.
u64 tls_call(u8* stack, u64 (*function)(void*), void* argument);
struct tls_context* tls_context(struct tls_core* tls, u32 handle);

// connection.c
BIO_METHOD* tls_bio_method(void);

// tickets.c
int tls_ticket_key(SSL* ssl, u8* name, u8* iv, EVP_CIPHER_CTX* cipher, HMAC_CTX* hmac, int encrypt);

// system.c: what differs between the platforms
void* tls_pages(size_t bytes);                // zeroed, whole pages, never given back
u64 tls_wall_s(void);                         // seconds since 1970, 0: unknown
u64 tls_monotonic_s(void);
void tls_set_wall(u64 now_s);
void tls_say(const char* text);               // a line on the console

// heap.c
void* tls_malloc(size_t bytes);
void tls_free(void* block);
u64 tls_heap_bytes(u32 number, u32 what);     // of a core: 0 in use, 1 taken from the machine
