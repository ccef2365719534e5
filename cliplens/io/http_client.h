// GET and HEAD over HTTP and HTTPS. Only this file and http_answer use libcurl.
//
//   const HttpAnswer answer = HttpGet("https://huggingface.co/api/models/a/b", {}, 1 << 20);
//   Print(answer.status, answer.Header("etag"), answer.body);
//
// At most 10 redirects are followed, to http and https only, and from https to https only. A token
// is sent to the host of the first address alone. Certificates are checked, against the file that
// SSL_CERT_FILE, CURL_CA_BUNDLE or REQUESTS_CA_BUNDLE names, else the system's. Proxies are those
// of the variables https_proxy, http_proxy, all_proxy and no_proxy. What may pass (a connection
// that fails, is cut or stands still; the statuses 408, 429, 500, 502, 503 and 504) is tried again
// after a pause, which Retry-After may make longer.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "cliplens/base/index.h"
#include "cliplens/io/http_answer.h"

namespace cliplens {

struct HttpOptions {
  std::string token = {};       // "Authorization: Bearer TOKEN"; empty: none
  int connect_seconds = 10;     // to connect, and for an answer to begin
  int stall_seconds = 10;       // without a byte, then the connection counts as cut
  int attempts = 5;             // in a row that bring nothing
  int most_pause_seconds = 60;  // a longer Retry-After ends the attempts
};

// The answer with at most `max_bytes` of body. Any status is an answer. Throws
// Error(kInvalidArgument) for an address that is none, Error(kPrecondition) where no answer came,
// Error(kExhausted) for a longer body, Error(kCorruptData) for redirects without end.
HttpAnswer HttpGet(const std::string& url, const HttpOptions& options, Index max_bytes);

// The answer without a body. A redirect to another host is followed only while `follow` says so of
// the answer that asks for it.
HttpAnswer HttpHead(const std::string& url, const HttpOptions& options,
                    const std::function<bool(const HttpAnswer&)>& follow = {});

// Writes the body of a GET to a file and goes on where the file ends: the bytes that it holds are
// asked for no more, where the server knows ranges. `size` is that of the whole; -1: not known,
// then at most `max_bytes` are taken. `progress` is told the bytes that the file holds. A status of
// 200 or 206 means that the file is whole; with another nothing was written. What came before an
// error stays in the file. Throws as HttpGet and AtomicFile, Error(kCorruptData) for another size.
HttpAnswer HttpDownload(const std::string& url, const HttpOptions& options,
                        const std::filesystem::path& file, Index size, Index max_bytes,
                        const std::function<void(Index)>& progress = {});

}  // namespace cliplens
