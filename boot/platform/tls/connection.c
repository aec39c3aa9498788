// Connections: the library's state machine without I/O of its own. A step is given received bytes, room for bytes to send
// and room for, or bytes of, plaintext, all of them in linear memory; it says how far it came. The BIO works on those
// regions directly, so that an idle connection holds no buffer.
//
// Invariants
// 1. The BIO's regions are valid only inside a step; outside their lengths are 0.
// 2. What the library wants to send is never refused: where the room ends it goes to `spill`, and until that is sent no
//    step does anything else. It holds a flight of a handshake at most.
// 3. A connection whose step failed only sends what is left (the alert) and is freed.
#include <string.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include "tls.h"

enum operation { STEP_READ, STEP_WRITE, STEP_CLOSE };
enum status { STATUS_READY = 1, STATUS_MORE = 2, STATUS_BLOCKED = 4, STATUS_CLOSED = 8 };
enum fact { FACT_VERSION, FACT_CIPHER, FACT_GROUP, FACT_RESUMED, FACT_ERROR, FACT_PROTOCOL_BYTES, FACT_VERIFY };
enum memory { MEMORY_USED, MEMORY_TAKEN, MEMORY_CONNECTIONS };

#define RECORD_BYTES 16384u    // RFC 8446, 5.1
#define RECORD_OVERHEAD 64u    // header, content type, tag; TLS 1.2 adds 8 bytes of nonce
#define CONNECTIONS_MAX 0x100000u
#define NAME_BYTES 256u

// As runtime/platform.ts lays it out.
struct io {
  u32 in, in_bytes;            // received; consumed
  u32 out, out_bytes;          // room; produced
  u32 plain, plain_bytes;      // room or bytes; produced or consumed
};

struct tls_connection {
  SSL* ssl;
  bool failed;
  u32 error;                   // the library's reason
  const u8* in;
  u8* out;
  u32 in_left, out_left;
  u8* spill;
  u32 spill_at, spill_bytes, spill_room;
  u32 next_free;
};

// ---- the BIO

static bool spill(struct tls_connection* c, const u8* from, u32 bytes) {
  if (bytes > c->spill_room - c->spill_bytes) {
    u32 room = (c->spill_bytes + bytes + 4095) & ~4095u;
    u8* larger = tls_malloc(room);
    if (!larger) return false;
    if (c->spill_bytes) memcpy(larger, c->spill, c->spill_bytes);
    tls_free(c->spill);
    c->spill = larger;
    c->spill_room = room;
  }
  memcpy(c->spill + c->spill_bytes, from, bytes);
  c->spill_bytes += bytes;
  return true;
}

static int bio_write(BIO* bio, const char* from, int length) {
  struct tls_connection* c = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (length <= 0) return 0;
  u32 fits = c->spill_bytes ? 0 : (u32)length < c->out_left ? (u32)length : c->out_left;
  memcpy(c->out, from, fits);
  c->out += fits;
  c->out_left -= fits;
  if (fits < (u32)length && !spill(c, (const u8*)from + fits, (u32)length - fits)) return -1;
  return length;
}

static int bio_read(BIO* bio, char* to, int length) {
  struct tls_connection* c = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (length <= 0) return 0;
  if (!c->in_left) {
    BIO_set_retry_read(bio);
    return -1;
  }
  u32 part = (u32)length < c->in_left ? (u32)length : c->in_left;
  memcpy(to, c->in, part);
  c->in += part;
  c->in_left -= part;
  return (int)part;
}

static long bio_control(BIO* bio, int command, long number, void* pointer) {
  (void)bio, (void)number, (void)pointer;
  return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* tls_bio_method(void) {
  BIO_METHOD* method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 100, "heddle");
  if (!method) return NULL;
  bool set = BIO_meth_set_write(method, bio_write) && BIO_meth_set_read(method, bio_read) &&
             BIO_meth_set_ctrl(method, bio_control) && BIO_meth_set_create(method, bio_create);
  return set ? method : NULL;
}

// ---- opening and freeing

struct open {
  struct tls_core* tls;
  struct tls_context* context;
  const char* name;
};

static bool grow(struct tls_core* tls) {
  if (tls->connection_count < tls->connection_room) return true;
  u32 room = tls->connection_room ? 2 * tls->connection_room : 256;
  if (room > CONNECTIONS_MAX) return false;
  // The table may outgrow what the heap's blocks hold: pages. The old ones stay unused, half of what replaces them.
  struct tls_connection** larger = tls_pages((room * sizeof *larger + 4095) & ~4095ull);
  if (!larger) return false;
  if (tls->connection_count) memcpy(larger, tls->connections, tls->connection_count * sizeof *larger);
  tls->connections = larger;
  tls->connection_room = room;
  return true;
}

static bool configure(struct tls_connection* c, struct open* open) {
  SSL_set_shed_handshake_config(c->ssl, 1);
  if (!open->context->client) {
    SSL_set_accept_state(c->ssl);
    return true;
  }
  SSL_set_connect_state(c->ssl);
  return !open->name[0] || (SSL_set_tlsext_host_name(c->ssl, open->name) && SSL_set1_host(c->ssl, open->name));
}

static u64 open_connection(void* argument) {
  struct open* open = argument;
  struct tls_core* tls = open->tls;
  ERR_clear_error();
  if (!tls->free && !grow(tls)) return (u32)TLS_ENOSPC;
  struct tls_connection* c = tls_malloc(sizeof *c);
  if (!c) return (u32)TLS_ENOMEM;
  memset(c, 0, sizeof *c);
  c->ssl = SSL_new(open->context->first);
  BIO* bio = c->ssl ? BIO_new(tls->bio) : NULL;
  if (bio) {
    BIO_set_data(bio, c);
    SSL_set_bio(c->ssl, bio, bio);
  }
  if (!bio || !configure(c, open)) {
    if (c->ssl) SSL_free(c->ssl);
    tls_free(c);
    return (u32)TLS_ENOMEM;
  }
  u32 slot = tls->free ? tls->free - 1 : tls->connection_count++;
  if (tls->free) tls->free = (u32)(u64)tls->connections[slot] >> 1;
  tls->connections[slot] = c;
  return slot;
}

// A free slot holds the next free one + 1, shifted, with the lowest bit set: no address is odd.
static struct tls_connection* find(struct tls_core* tls, u32 handle) {
  if (!tls || handle >= tls->connection_count || (u64)tls->connections[handle] & 1) return NULL;
  return tls->connections[handle];
}

u32 w2c_env_tlsOpen(struct core* core, u32 handle, u32 name, u32 name_length, u64 wall_s) {
  struct tls_core* tls = tls_core(core);
  struct tls_context* context = tls ? tls_context(tls, handle) : NULL;
  char text[NAME_BYTES];
  if (!context || name_length >= sizeof text || (name_length && !memory_readable(core, name, name_length))) return (u32)TLS_EINVAL;
  if (name_length) memcpy(text, core_pointer(core, name), name_length);
  text[name_length] = 0;
  tls_set_wall(wall_s);
  struct open open = {tls, context, text};
  return (u32)tls_call(tls->stack, open_connection, &open);
}

static u64 free_connection(void* argument) {
  struct tls_connection* c = argument;
  SSL_free(c->ssl);
  tls_free(c->spill);
  tls_free(c);
  return 0;
}

void w2c_env_tlsFree(struct core* core, u32 handle) {
  struct tls_core* tls = tls_core(core);
  struct tls_connection* c = find(tls, handle);
  if (!c) return;
  tls_call(tls->stack, free_connection, c);
  tls->connections[handle] = (struct tls_connection*)((u64)tls->free << 1 | 1);
  tls->free = handle + 1;
}

// ---- steps

struct step {
  struct tls_connection* c;
  u32 operation;
  u8* plain;
  u32 plain_bytes;             // room or bytes; then how many of them were used
};

static void drain_spill(struct tls_connection* c) {
  u32 left = c->spill_bytes - c->spill_at, part = left < c->out_left ? left : c->out_left;
  memcpy(c->out, c->spill + c->spill_at, part);
  c->out += part;
  c->out_left -= part;
  c->spill_at += part;
  if (c->spill_at < c->spill_bytes) return;
  tls_free(c->spill);
  c->spill = NULL;
  c->spill_at = c->spill_bytes = c->spill_room = 0;
}

static u32 fail(struct tls_connection* c) {
  u32 error = ERR_peek_error();
  c->failed = true;
  c->error = (u32)ERR_GET_REASON(error);
  ERR_clear_error();
  return (u32)TLS_EPROTO;
}

static u32 read_step(struct step* step) {
  struct tls_connection* c = step->c;
  u32 room = step->plain_bytes;
  step->plain_bytes = 0;
  while (!c->spill_bytes) {
    if (step->plain_bytes == room && !SSL_in_init(c->ssl)) return c->in_left || SSL_pending(c->ssl) > 0 ? STATUS_MORE : 0;
    int got = SSL_read(c->ssl, step->plain + step->plain_bytes, (int)(room - step->plain_bytes));
    if (got > 0) {
      step->plain_bytes += (u32)got;
      continue;
    }
    switch (SSL_get_error(c->ssl, got)) {
      case SSL_ERROR_WANT_READ: return 0;
      case SSL_ERROR_ZERO_RETURN: return STATUS_CLOSED;
      default: return fail(c);
    }
  }
  return STATUS_MORE;
}

static u32 write_step(struct step* step) {
  struct tls_connection* c = step->c;
  u32 bytes = step->plain_bytes;
  step->plain_bytes = 0;
  if (SSL_in_init(c->ssl)) return 0;
  while (step->plain_bytes < bytes && !c->spill_bytes && c->out_left > RECORD_OVERHEAD) {
    u32 part = bytes - step->plain_bytes, room = c->out_left - RECORD_OVERHEAD;
    if (part > RECORD_BYTES) part = RECORD_BYTES;
    if (part > room) part = room;
    if (SSL_write(c->ssl, step->plain + step->plain_bytes, (int)part) != (int)part) return fail(c);
    step->plain_bytes += part;
  }
  return 0;
}

static u64 run_step(void* argument) {
  struct step* step = argument;
  struct tls_connection* c = step->c;
  u32 status = 0;
  if (c->spill_bytes) drain_spill(c);
  if (c->spill_bytes || c->failed) {
    step->plain_bytes = 0;
    status = c->failed ? (u32)TLS_EPROTO : 0;
  } else {
    ERR_clear_error();
    if (step->operation == STEP_READ) {
      status = read_step(step);
    } else if (step->operation == STEP_WRITE) {
      status = write_step(step);
    } else {
      step->plain_bytes = 0;
      if (!SSL_in_init(c->ssl)) SSL_shutdown(c->ssl);
      ERR_clear_error();
    }
  }
  if ((s32)status < 0) return status;
  return status | (SSL_in_init(c->ssl) ? 0 : STATUS_READY) | (c->spill_bytes ? STATUS_BLOCKED : 0);
}

u32 w2c_env_tlsStep(struct core* core, u32 handle, u32 operation, u32 at) {
  struct tls_core* tls = tls_core(core);
  struct tls_connection* c = find(tls, handle);
  struct io io;
  if (!c || operation > STEP_CLOSE || !memory_writable(core, at, sizeof io)) return (u32)TLS_EINVAL;
  memcpy(&io, core_pointer(core, at), sizeof io);
  bool plain_ok = operation == STEP_READ ? memory_writable(core, io.plain, io.plain_bytes) : memory_readable(core, io.plain, io.plain_bytes);
  if ((io.in_bytes && !memory_readable(core, io.in, io.in_bytes)) || (io.out_bytes && !memory_writable(core, io.out, io.out_bytes)) ||
      (io.plain_bytes ? !plain_ok || io.plain_bytes > INT32_MAX : operation == STEP_READ))
    return (u32)TLS_EINVAL;
  c->in = core_pointer(core, io.in);
  c->in_left = operation == STEP_READ ? io.in_bytes : 0;
  c->out = core_pointer(core, io.out);
  c->out_left = io.out_bytes;
  u32 given = c->in_left;
  struct step step = {c, operation, core_pointer(core, io.plain), io.plain_bytes};
  u32 status = (u32)tls_call(tls->stack, run_step, &step);
  io.in_bytes = given - c->in_left;
  io.out_bytes -= c->out_left;
  io.plain_bytes = step.plain_bytes;
  c->in_left = c->out_left = 0;
  memcpy(core_pointer(core, at), &io, sizeof io);
  return status;
}

u32 w2c_env_tlsFact(struct core* core, u32 handle, u32 fact) {
  struct tls_connection* c = find(tls_core(core), handle);
  if (!c) return (u32)TLS_EINVAL;
  const u8* protocol;
  unsigned length;
  switch (fact) {
    case FACT_VERSION: return (u32)SSL_version(c->ssl);
    case FACT_CIPHER: return SSL_get_current_cipher(c->ssl) ? SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(c->ssl)) : 0;
    case FACT_GROUP: return SSL_get_curve_id(c->ssl);
    case FACT_RESUMED: return (u32)SSL_session_reused(c->ssl);
    case FACT_ERROR: return c->error;
    case FACT_VERIFY: return (u32)SSL_get_verify_result(c->ssl);
    case FACT_PROTOCOL_BYTES: return SSL_get0_alpn_selected(c->ssl, &protocol, &length), length;
    default: return (u32)TLS_EINVAL;
  }
}

u64 w2c_env_tlsMemory(struct core* core, u32 what) {
  return what <= MEMORY_TAKEN ? tls_heap_bytes(core->number, what) : 0;
}
