#include "tests/unit/http/tls_support.h"

#include <stdlib.h>

#include <cassert>
#include <filesystem>
#include <fstream>
#include <memory>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace davit::test {

namespace {

template <auto Free>
struct Deleter {
    template <typename T>
    void operator()(T* object) const {
        Free(object);
    }
};

using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

BioPtr bio_of(const std::string& text) {
    return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_of(const BioPtr& bio) {
    std::string text(BIO_ctrl_pending(bio.get()), '\0');
    BIO_read(bio.get(), text.data(), static_cast<int>(text.size()));
    return text;
}

void extension_add(X509* certificate, int kind, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
    assert(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

}  // namespace

Certificate certificate_make(const CertificateSpec& spec, const Certificate* issuer) {
    const KeyPtr key(EVP_EC_gen("P-256"));
    const X509Ptr certificate(X509_new());
    assert(key && certificate);
    X509_set_version(certificate.get(), 2);
    static long serial = 1;
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial);
    const long day = 24L * 3600;
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -30 * day);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), spec.days * day);
    X509_set_pubkey(certificate.get(), key.get());
    X509_NAME* name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name,
                               "CN",
                               MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(spec.name.c_str()),
                               -1,
                               -1,
                               0);
    extension_add(
        certificate.get(), NID_basic_constraints, spec.authority ? "CA:TRUE" : "CA:FALSE");
    if (!spec.alternative_names.empty()) {
        extension_add(certificate.get(), NID_subject_alt_name, spec.alternative_names);
    }
    if (issuer == nullptr) {
        X509_set_issuer_name(certificate.get(), name);
        X509_sign(certificate.get(), key.get(), EVP_sha256());
    } else {
        const BioPtr by = bio_of(issuer->certificate_pem);
        const BioPtr by_key = bio_of(issuer->key_pem);
        const X509Ptr above(PEM_read_bio_X509(by.get(), nullptr, nullptr, nullptr));
        const KeyPtr above_key(PEM_read_bio_PrivateKey(by_key.get(), nullptr, nullptr, nullptr));
        X509_set_issuer_name(certificate.get(), X509_get_subject_name(above.get()));
        X509_sign(certificate.get(), above_key.get(), EVP_sha256());
    }
    const BioPtr certificate_out(BIO_new(BIO_s_mem()));
    const BioPtr key_out(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(certificate_out.get(), certificate.get());
    PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return {text_of(certificate_out), text_of(key_out)};
}

TempDirectory::TempDirectory() {
    char name[] = "/tmp/davit-http-XXXXXX";
    const char* made = ::mkdtemp(name);
    assert(made != nullptr);
    path_ = made;
}

TempDirectory::~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TempDirectory::file(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = path_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path;
}

}  // namespace davit::test
