// Contexts: policy, certificates with their keys, protocols. One SSL_CTX for each set of names; an RSA and an ECDSA
// certificate for the same names share one, and the library chooses by what the client can verify.
//
// Mozilla's guidance (Server Side TLS 5.7): `modern` is TLS 1.3, `intermediate` adds TLS 1.2 with forward secrecy and AEAD.
#include <cpuid.h>
#include <string.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "../common/bundle.h"
#include "context.h"

enum policy { POLICY_MODERN, POLICY_INTERMEDIATE };
enum fact { FACT_NOT_BEFORE_S, FACT_NOT_AFTER_S, FACT_KEY_BITS, FACT_KEY_KIND };
enum { KIND_OTHER, KIND_RSA, KIND_ECDSA };

#define PEM_BYTES_MAX 0x40000u
#define CHAIN_MAX 10u
#define STAPLE_BYTES_MAX 0x4000u
#define AUTHORITIES_MAX 512u
#define SECRET_NAME_BYTES 100u

// AES-128, unless a client begins its list with ChaCha20 (it has no AES instructions) or does not know AES-128, which is
// mandatory (RFC 8446, 9.1). The library would let the client's order decide, and OpenSSL's begins with AES-256 and its
// SHA-384: a fifth of a whole handshake.
static const char CIPHERS_TLS13[] = "TLS_AES_128_GCM_SHA256";
static const char CIPHERS_TLS13_CHACHA20[] = "TLS_CHACHA20_POLY1305_SHA256";
static const char CIPHERS_TLS13_OTHERS[] = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char CIPHERS_TLS13_CLIENT[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char CIPHERS_TLS12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char GROUPS[] = "X25519MLKEM768:X25519:P-256:P-384";

static struct tls_core* cores[CORES_MAX];

#if !__STDC_HOSTED__
// The library's constructor finds out what the CPU can do; AVX state is enabled by then (cpu.c).
extern void (*const constructors_begin[])(void);
extern void (*const constructors_end[])(void);
static void construct(void) {
  static bool done;
  if (done) return;
  done = true;
  for (void (*const* at)(void) = constructors_begin; at < constructors_end; at++) (*at)();
}
#else
static void construct(void) {}  // the C library has
#endif

// Without AES instructions a byte costs 35 times as much, without AVX state (which the platform enables) RSA half as much
// again: said, because nothing else would show it.
static void check_cpu(void) {
  u32 a, b, c, d;
  enum { PCLMUL = 1 << 1, AES = 1 << 25, OSXSAVE = 1 << 27, AVX = 1 << 28 };
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (AES | PCLMUL)) != (AES | PCLMUL))
    tls_say("heddle: TLS: this CPU has no AES instructions; encryption will be slow\n");
  else if ((c & AVX) && !(c & OSXSAVE))
    tls_say("heddle: TLS: AVX is there but not enabled; encryption will be slow\n");
}

static u64 prepare(void* argument) {
  struct tls_core* tls = argument;
  tls->bio = tls_bio_method();
  return tls->bio != NULL;
}

struct tls_core* tls_core(struct core* core) {
  struct tls_core* tls = cores[core->number];
  if (tls) return tls;
  if (core->number == 0) {
    construct();
    check_cpu();
  }
  tls = tls_pages((sizeof *tls + 4095) & ~4095ull);
  if (!tls || !(tls->stack = stack_map(TLS_STACK_BYTES)) || !tls_call(tls->stack, prepare, tls)) return NULL;
  return cores[core->number] = tls;
}

struct tls_context* tls_context(struct tls_core* tls, u32 handle) {
  return handle < tls->context_count ? tls->contexts[handle] : NULL;
}

// ---- making one

// RFC 7301, 3.2: the server's preference; a client that offers only others is refused.
static int choose_protocol(SSL* ssl, const u8** out, u8* out_length, const u8* in, unsigned in_length, void* argument) {
  (void)ssl;
  struct tls_context* context = argument;
  if (!context->alpn_length) return SSL_TLSEXT_ERR_NOACK;
  u8* chosen;
  int found = SSL_select_next_proto(&chosen, out_length, context->alpn, context->alpn_length, in, in_length);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// RFC 6125: a name, or one with "*" for the whole leftmost label.
static bool name_matches(const char* pattern, size_t pattern_length, const char* name) {
  size_t length = strlen(name);
  if (pattern_length > 2 && pattern[0] == '*' && pattern[1] == '.') {
    const char* dot = strchr(name, '.');
    if (!dot || dot == name) return false;
    pattern += 1, pattern_length -= 1;
    length -= (size_t)(dot - name);
    name = dot;
  }
  return length == pattern_length && OPENSSL_strncasecmp(name, pattern, length) == 0;
}

static bool certificate_names(X509* leaf, const char* name) {
  GENERAL_NAMES* names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
  bool matches = false;
  for (size_t i = 0; names && i < sk_GENERAL_NAME_num(names) && !matches; i++) {
    const GENERAL_NAME* one = sk_GENERAL_NAME_value(names, i);
    if (one->type != GEN_DNS) continue;
    const char* text = (const char*)ASN1_STRING_get0_data(one->d.dNSName);
    matches = name_matches(text, (size_t)ASN1_STRING_length(one->d.dNSName), name);
  }
  GENERAL_NAMES_free(names);
  return matches;
}

// The certificate that names the server asked for; the first one for all other names, as the client may still trust it.
static int choose_certificate(SSL* ssl, int* alert, void* argument) {
  (void)alert;
  struct tls_context* context = argument;
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (!name || context->certificate_count < 2) return SSL_TLSEXT_ERR_OK;
  for (u32 i = 0; i < context->certificate_count; i++) {
    if (!certificate_names(context->certificates[i].leaf, name)) continue;
    if (context->certificates[i].ssl != SSL_get_SSL_CTX(ssl)) SSL_set_SSL_CTX(ssl, context->certificates[i].ssl);
    break;
  }
  return SSL_TLSEXT_ERR_OK;
}

// Before anything is chosen.
static enum ssl_select_cert_result_t look_at_hello(const SSL_CLIENT_HELLO* hello) {
  enum { AES_128 = 0x1301, AES_256 = 0x1302, CHACHA20 = 0x1303 };
  u32 first = 0;
  bool aes_128 = false;
  for (size_t i = 0; i + 1 < hello->cipher_suites_len; i += 2) {
    u32 suite = (u32)hello->cipher_suites[i] << 8 | hello->cipher_suites[i + 1];
    if (!first && suite >= AES_128 && suite <= CHACHA20) first = suite;
    aes_128 |= suite == AES_128;
  }
  const char* suites = first == CHACHA20 ? CIPHERS_TLS13_CHACHA20 : first && !aes_128 ? CIPHERS_TLS13_OTHERS : NULL;
  return suites && !SSL_set_ciphersuites(hello->ssl, suites) ? ssl_select_cert_error : ssl_select_cert_success;
}

// A client that was told of nobody to trust trusts nobody.
static void apply_trust(struct tls_context* context, SSL_CTX* ssl) {
  if (context->trust) {
    X509_STORE_up_ref(context->trust);
    SSL_CTX_set_cert_store(ssl, context->trust);
  }
  SSL_CTX_set_verify(ssl, context->client ? SSL_VERIFY_PEER : context->verify, NULL);
}

static SSL_CTX* new_ssl_context(struct tls_context* context) {
  SSL_CTX* ssl = SSL_CTX_new(TLS_method());
  if (!ssl) return NULL;
  static const u8 id[] = "heddle";
  bool ok = SSL_CTX_set_min_proto_version(ssl, context->policy == POLICY_MODERN ? TLS1_3_VERSION : TLS1_2_VERSION) &&
            SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) && SSL_CTX_set_ciphersuites(ssl, context->client ? CIPHERS_TLS13_CLIENT : CIPHERS_TLS13) &&
            SSL_CTX_set_strict_cipher_list(ssl, CIPHERS_TLS12) &&
            SSL_CTX_set1_groups_list(ssl, GROUPS) && SSL_CTX_set_session_id_context(ssl, id, sizeof id - 1) &&
            SSL_CTX_set_num_tickets(ssl, 1);
  if (!ok) {
    SSL_CTX_free(ssl);
    return NULL;
  }
  SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  apply_trust(context, ssl);
  if (!context->client) {
    SSL_CTX_set_select_certificate_cb(ssl, look_at_hello);
    SSL_CTX_set_tlsext_ticket_key_cb(ssl, tls_ticket_key);
    SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, context);
    SSL_CTX_set_tlsext_servername_callback(ssl, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(ssl, context);
  }
  return ssl;
}

struct make { struct tls_core* tls; u32 policy; bool client; };

static u64 make_context(void* argument) {
  struct make* make = argument;
  struct tls_core* tls = make->tls;
  if (tls->context_count == TLS_CONTEXTS) return (u32)TLS_ENOSPC;
  struct tls_context* context = tls_malloc(sizeof *context);
  if (!context) return (u32)TLS_ENOMEM;
  memset(context, 0, sizeof *context);
  context->client = make->client;
  context->policy = make->policy;
  context->first = new_ssl_context(context);
  if (!context->first) {
    tls_free(context);
    return (u32)TLS_ENOMEM;
  }
  tls->contexts[tls->context_count] = context;
  return tls->context_count++;
}

u32 w2c_env_tlsContext(struct core* core, u32 policy, u32 client) {
  struct tls_core* tls = tls_core(core);
  if (policy > POLICY_INTERMEDIATE || client > 1) return (u32)TLS_EINVAL;
  if (!tls) return (u32)TLS_ENOMEM;
  struct make make = {tls, policy, client};
  return (u32)tls_call(tls->stack, make_context, &make);
}

// ---- certificates

static bool same_names(X509* a, X509* b) {
  int at_a = X509_get_ext_by_NID(a, NID_subject_alt_name, -1), at_b = X509_get_ext_by_NID(b, NID_subject_alt_name, -1);
  if (at_a < 0 || at_b < 0) return at_a == at_b;
  return ASN1_STRING_cmp(X509_EXTENSION_get_data(X509_get_ext(a, at_a)), X509_EXTENSION_get_data(X509_get_ext(b, at_b))) == 0;
}

static u32 key_kind(X509* leaf) {
  EVP_PKEY* key = X509_get0_pubkey(leaf);
  int id = key ? EVP_PKEY_id(key) : 0;
  return id == EVP_PKEY_RSA ? KIND_RSA : id == EVP_PKEY_EC ? KIND_ECDSA : KIND_OTHER;
}

// The SSL_CTX for a new certificate: that of one with the same names and another kind of key, the context's first while it
// has none, or a new one.
static SSL_CTX* home_of(struct tls_context* context, X509* leaf) {
  if (context->certificate_count == 0) return SSL_CTX_up_ref(context->first), context->first;
  SSL_CTX* home = NULL;
  for (u32 i = 0; i < context->certificate_count; i++) {
    struct tls_certificate* other = &context->certificates[i];
    if (same_names(other->leaf, leaf) && key_kind(other->leaf) != key_kind(leaf)) home = other->ssl;
    else if (other->ssl == home) home = NULL;  // that kind is there already
  }
  if (home) SSL_CTX_up_ref(home);
  return home ? home : new_ssl_context(context);
}

struct add {
  struct tls_context* context;
  const u8* pem;
  u32 pem_length;
  const char* key;
};

static EVP_PKEY* read_key(const struct bundle_secret* secret) {
  BIO* bio = BIO_new_mem_buf(secret->data, (ossl_ssize_t)secret->length);
  EVP_PKEY* key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
  BIO_free(bio);
  return key;
}

// Leaf, then what leads to the root; at most CHAIN_MAX.
static X509* read_chain(const u8* pem, u32 length, STACK_OF(X509)* chain) {
  BIO* bio = BIO_new_mem_buf(pem, (ossl_ssize_t)length);
  X509* leaf = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
  for (X509* next; leaf && sk_X509_num(chain) < CHAIN_MAX && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL));)
    if (!sk_X509_push(chain, next)) X509_free(next);
  BIO_free(bio);
  return leaf;
}

static u64 add_certificate(void* argument) {
  struct add* add = argument;
  struct tls_context* context = add->context;
  ERR_clear_error();
  const struct bundle_secret* secret = bundle_secret(add->key);
  if (!secret) return (u32)TLS_ENOENT;
  if (context->certificate_count == TLS_CERTIFICATES) return (u32)TLS_ENOSPC;
  STACK_OF(X509)* chain = sk_X509_new_null();
  X509* leaf = chain ? read_chain(add->pem, add->pem_length, chain) : NULL;
  EVP_PKEY* key = read_key(secret);
  u32 result = (u32)(!leaf ? TLS_EINVAL : !key ? TLS_EPROTO : X509_check_private_key(leaf, key) != 1 ? TLS_EPERM : 0);
  if (!result) {
    SSL_CTX* ssl = home_of(context, leaf);
    if (ssl && SSL_CTX_use_certificate(ssl, leaf) && SSL_CTX_use_PrivateKey(ssl, key) && SSL_CTX_set1_chain(ssl, chain)) {
      X509_up_ref(leaf);
      context->certificates[context->certificate_count] = (struct tls_certificate){ssl, leaf};
      result = context->certificate_count++;
    } else {
      if (ssl) SSL_CTX_free(ssl);
      result = (u32)TLS_ENOMEM;
    }
  }
  ERR_clear_error();
  EVP_PKEY_free(key);
  X509_free(leaf);
  sk_X509_pop_free(chain, X509_free);
  return result;
}

struct staple {
  struct tls_certificate* certificate;
  const u8* der;
  u32 length;
};

static u64 add_staple(void* argument) {
  struct staple* staple = argument;
  return (u32)(SSL_CTX_set_ocsp_response(staple->certificate->ssl, staple->der, staple->length) ? 0 : TLS_ENOMEM);
}

u32 w2c_env_tlsStaple(struct core* core, u32 handle, u32 index, u32 der, u32 length) {
  struct tls_core* tls = tls_core(core);
  struct tls_context* context = tls ? tls_context(tls, handle) : NULL;
  if (!context || index >= context->certificate_count || length == 0 || length > STAPLE_BYTES_MAX || !memory_readable(core, der, length))
    return (u32)TLS_EINVAL;
  // One response for an SSL_CTX: where two kinds of certificates share it, it could belong to the other one.
  for (u32 i = 0; i < context->certificate_count; i++)
    if (i != index && context->certificates[i].ssl == context->certificates[index].ssl) return (u32)TLS_EPERM;
  struct staple staple = {&context->certificates[index], core_pointer(core, der), length};
  return (u32)tls_call(tls->stack, add_staple, &staple);
}

struct trust {
  struct tls_context* context;
  const u8* pem;
  u32 length;
  int verify;
};

static u64 add_trust(void* argument) {
  struct trust* trust = argument;
  struct tls_context* context = trust->context;
  ERR_clear_error();
  if (!context->trust && !(context->trust = X509_STORE_new())) return (u32)TLS_ENOMEM;
  BIO* bio = BIO_new_mem_buf(trust->pem, (ossl_ssize_t)trust->length);
  u32 added = 0;
  for (X509* one; bio && added < AUTHORITIES_MAX && (one = PEM_read_bio_X509(bio, NULL, NULL, NULL)); added++) {
    if (X509_STORE_add_cert(context->trust, one) && !context->client) SSL_CTX_add_client_CA(context->first, one);
    X509_free(one);
  }
  BIO_free(bio);
  ERR_clear_error();
  if (!added) return (u32)TLS_EINVAL;
  context->verify = trust->verify;
  apply_trust(context, context->first);
  return added;
}

u32 w2c_env_tlsTrust(struct core* core, u32 handle, u32 pem, u32 pem_length, u32 required) {
  struct tls_core* tls = tls_core(core);
  struct tls_context* context = tls ? tls_context(tls, handle) : NULL;
  if (!context || context->certificate_count || required > 1 || pem_length > PEM_BYTES_MAX || !memory_readable(core, pem, pem_length))
    return (u32)TLS_EINVAL;
  int verify = SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
  struct trust trust = {context, core_pointer(core, pem), pem_length, verify};
  return (u32)tls_call(tls->stack, add_trust, &trust);
}

// The name of a secret without its folder, as C text.
static bool secret_name(struct core* core, u32 at, u32 length, char out[SECRET_NAME_BYTES]) {
  static const char folder[] = "secrets/";
  if (length >= SECRET_NAME_BYTES || !memory_readable(core, at, length)) return false;
  memcpy(out, core_pointer(core, at), length);
  out[length] = 0;
  if (length > sizeof folder - 1 && memcmp(out, folder, sizeof folder - 1) == 0)
    memmove(out, out + sizeof folder - 1, length - sizeof folder + 2);
  return true;
}

u32 w2c_env_tlsCertificate(struct core* core, u32 handle, u32 pem, u32 pem_length, u32 key, u32 key_length) {
  struct tls_core* tls = tls_core(core);
  if (!tls) return (u32)TLS_ENOMEM;
  struct tls_context* context = tls_context(tls, handle);
  char name[SECRET_NAME_BYTES];
  if (!context || pem_length > PEM_BYTES_MAX || !memory_readable(core, pem, pem_length) || !secret_name(core, key, key_length, name))
    return (u32)TLS_EINVAL;
  struct add add = {context, core_pointer(core, pem), pem_length, name};
  return (u32)tls_call(tls->stack, add_certificate, &add);
}

static u64 posix_time(const ASN1_TIME* time) {
  int64_t seconds;
  return ASN1_TIME_to_posix(time, &seconds) && seconds > 0 ? (u64)seconds : 0;
}

u64 w2c_env_tlsCertificateFact(struct core* core, u32 handle, u32 index, u32 fact) {
  struct tls_core* tls = tls_core(core);
  struct tls_context* context = tls ? tls_context(tls, handle) : NULL;
  if (!context || index >= context->certificate_count) return (u64)(s64)TLS_EINVAL;
  X509* leaf = context->certificates[index].leaf;
  switch (fact) {
    case FACT_NOT_BEFORE_S: return posix_time(X509_get0_notBefore(leaf));
    case FACT_NOT_AFTER_S: return posix_time(X509_get0_notAfter(leaf));
    case FACT_KEY_BITS: return (u64)EVP_PKEY_bits(X509_get0_pubkey(leaf));
    case FACT_KEY_KIND: return key_kind(leaf);
    default: return (u64)(s64)TLS_EINVAL;
  }
}

// ---- the rest

u32 w2c_env_tlsProtocols(struct core* core, u32 handle, u32 at, u32 length) {
  struct tls_core* tls = tls_core(core);
  struct tls_context* context = tls ? tls_context(tls, handle) : NULL;
  if (!context || length > sizeof context->alpn || !memory_readable(core, at, length)) return (u32)TLS_EINVAL;
  const u8* list = core_pointer(core, at);
  for (u32 i = 0; i < length; i += 1 + list[i])
    if (list[i] == 0 || list[i] >= length - i) return (u32)TLS_EINVAL;
  memcpy(context->alpn, list, length);
  context->alpn_length = length;
  // A client offers them all.
  return context->client && SSL_CTX_set_alpn_protos(context->first, context->alpn, length) != 0 ? (u32)TLS_ENOMEM : 0;
}

u32 w2c_env_tlsTicketSecret(struct core* core, u32 at, u32 length) {
  char name[SECRET_NAME_BYTES];
  if (!tls_core(core) || !secret_name(core, at, length, name)) return (u32)TLS_EINVAL;
  return tls_ticket_secret(name);
}
