// Session tickets (RFC 8446, 4.6.1; RFC 5077): their keys follow from one secret and the time, so all cores, and all machines
// that were given the same secret, know the same keys without telling each other, and old ones are forgotten by themselves.
//
//   HMAC-SHA-256(secret, "heddle ticket" | period | use)  ->  name (16) | AES-128-CBC key (16) | HMAC-SHA-256 key (32)
//
// A ticket is made with the key of the present period of 12 hours; those of the period before are still taken, and renewed,
// and those of the next, because another instance's clock may be ahead. Without a configured secret it is drawn at boot.
#include <string.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include "../common/bundle.h"
#include "context.h"

#define PERIOD_S 43200u
#define SECRET_BYTES 32u
#define SECRET_LEAST_BYTES 32u  // of a configured one
#define NAME_BYTES 16u
#define KEY_BYTES 16u
#define MAC_BYTES 32u

static u8 secret[SECRET_BYTES];
enum { SECRET_NONE, SECRET_CHANGES, SECRET_SET };
static u32 secret_state;

struct ticket_keys {
  u64 period;                    // 0: none
  u8 name[NAME_BYTES];
  u8 cipher[KEY_BYTES], mac[MAC_BYTES];
};
static struct ticket_keys cache[CORES_MAX][3];

static u64 period_now(void) {
  u64 wall_s = tls_wall_s();
  return (wall_s ? wall_s : tls_monotonic_s()) / PERIOD_S + 2;
}

static void derive(u64 period, u8 use, u8 out[32]) {
  u8 text[22] = "heddle ticket";
  for (u32 i = 0; i < 8; i++) text[13 + i] = (u8)(period >> 8 * i);
  text[21] = use;
  unsigned length = 32;
  HMAC(EVP_sha256(), secret, sizeof secret, text, sizeof text, out, &length);
}

static const struct ticket_keys* keys_of(u32 core, u64 period) {
  struct ticket_keys* keys = &cache[core][period % 3];
  if (keys->period == period) return keys;
  u8 out[32];
  derive(period, 0, out);
  memcpy(keys->name, out, NAME_BYTES);
  derive(period, 1, out);
  memcpy(keys->cipher, out, KEY_BYTES);
  derive(period, 2, keys->mac);
  OPENSSL_cleanse(out, sizeof out);
  keys->period = period;
  return keys;
}

// The first core that needs the secret decides it; the others wait for that.
static bool secret_ready(void) {
  u32 none = SECRET_NONE;
  if (__atomic_compare_exchange_n(&secret_state, &none, SECRET_CHANGES, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
    bool drawn = RAND_bytes(secret, sizeof secret);
    __atomic_store_n(&secret_state, drawn ? SECRET_SET : SECRET_NONE, __ATOMIC_RELEASE);
    return drawn;
  }
  while (__atomic_load_n(&secret_state, __ATOMIC_ACQUIRE) == SECRET_CHANGES) __builtin_ia32_pause();
  return __atomic_load_n(&secret_state, __ATOMIC_ACQUIRE) == SECRET_SET;
}

u32 tls_ticket_secret(const char* name) {
  const struct bundle_secret* given = bundle_secret(name);
  if (!given) return (u32)TLS_ENOENT;
  if (given->length < SECRET_LEAST_BYTES) return (u32)TLS_EINVAL;
  u32 none = SECRET_NONE;
  // Every core asks for the same; who comes later finds it done.
  if (__atomic_compare_exchange_n(&secret_state, &none, SECRET_CHANGES, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
    SHA256(given->data, given->length, secret);
    __atomic_store_n(&secret_state, SECRET_SET, __ATOMIC_RELEASE);
  }
  return 0;
}

// SSL_CTX_set_tlsext_ticket_key_cb: 1 uses the key, 2 uses it and wants the ticket renewed, 0 goes on without, -1 fails.
int tls_ticket_key(SSL* ssl, u8* name, u8* iv, EVP_CIPHER_CTX* cipher, HMAC_CTX* hmac, int encrypt) {
  (void)ssl;
  struct core* core = this_core();
  if (!secret_ready()) return encrypt ? -1 : 0;
  u64 period = period_now();
  if (encrypt) {
    const struct ticket_keys* keys = keys_of(core->number, period);
    memcpy(name, keys->name, NAME_BYTES);
    if (!RAND_bytes(iv, 16)) return -1;
    return EVP_EncryptInit_ex(cipher, EVP_aes_128_cbc(), NULL, keys->cipher, iv) &&
                   HMAC_Init_ex(hmac, keys->mac, MAC_BYTES, EVP_sha256(), NULL)
               ? 1 : -1;
  }
  for (u64 p = period - 1; p <= period + 1; p++) {
    const struct ticket_keys* keys = keys_of(core->number, p);
    if (CRYPTO_memcmp(keys->name, name, NAME_BYTES) != 0) continue;
    if (!EVP_DecryptInit_ex(cipher, EVP_aes_128_cbc(), NULL, keys->cipher, iv) ||
        !HMAC_Init_ex(hmac, keys->mac, MAC_BYTES, EVP_sha256(), NULL))
      return -1;
    return p < period ? 2 : 1;
  }
  return 0;
}
