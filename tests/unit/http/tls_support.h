#pragma once
/// Certificates made on the spot, through OpenSSL.
#include <string>

namespace davit::test {

struct Certificate {
    std::string certificate_pem;
    std::string key_pem;
};

struct CertificateSpec {
    std::string name = "test";
    /// "DNS:localhost,IP:127.0.0.1"; "" for none.
    std::string alternative_names;
    bool authority = false;
    /// Days from now; negative: long over.
    int days = 1;
};

/// Signed by issuer; by itself if null.
Certificate certificate_make(const CertificateSpec& spec, const Certificate* issuer = nullptr);

/// A directory under /tmp that goes with its object.
class TempDirectory {
  public:
    TempDirectory();
    ~TempDirectory();
    TempDirectory(const TempDirectory&) = delete;
    TempDirectory& operator=(const TempDirectory&) = delete;

    /// Write a file (its directories are made); returns its path.
    std::string file(const std::string& name, const std::string& text) const;

    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace davit::test
