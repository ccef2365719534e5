#include "cliplens/io/http_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <memory>
#include <span>
#include <thread>
#include <utility>

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cliplens/base/error.h"
#include "cliplens/base/version.h"
#include "cliplens/io/file.h"
#include "cliplens/io/open_file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr int kMostRedirects = 10;
constexpr Index kMostHeaderBytes = Index{256} << 10;
constexpr Index kMostErrorBody = Index{64} << 10;
// Slower than this for `stall_seconds` counts as cut.
constexpr long kLeastBytesPerSecond = 1'000;
// An attempt that brings this much counts as good, and the count of attempts begins anew.
constexpr Index kGoodAttempt = Index{1} << 20;
// Attempts to reach a host that cannot be reached.
constexpr int kConnectAttempts = 2;

using BodyPart = std::span<const std::uint8_t>;

void Setup() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (done != CURLE_OK) {
    throw Error(ErrorCode::kExhausted, "libcurl cannot start ({}); free memory and try again",
                curl_easy_strerror(done));
  }
}

bool MayPass(int status) {
  constexpr std::array kPassing = {408, 429, 500, 502, 503, 504};
  return std::ranges::find(kPassing, status) != kPassing.end();
}

// What is asked of one host.
struct Question {
  bool head = false;
  std::string token = {};
  Index from = 0;             // the first byte that is wanted
  std::string if_range = {};  // the version of which it is wanted; empty: any
  // Takes parts of the body; false: no more of it is wanted.
  std::function<bool(const HttpAnswer& answer, BodyPart part)> take = {};
};

// One exchange with one host, in the making.
struct Exchange {
  HttpAnswer answer;
  const Question* question = nullptr;
  Index header_bytes = 0;
  bool enough = false;  // the rest of the body was not wanted
  std::exception_ptr failed;

  void TakeHeader(std::string_view line) {
    header_bytes += std::ssize(line);
    if (header_bytes > kMostHeaderBytes) {
      throw Error(ErrorCode::kExhausted,
                  "{}: the answer's headers have more than {} bytes; ask its operator",
                  UrlText(answer.url), kMostHeaderBytes);
    }
    TakeHttpHeader(line, answer);
  }
};

// libcurl is C: what is thrown waits until it has returned.
template <typename Work>
std::size_t Guarded(void* exchange, std::size_t size, Work&& work) {
  auto& state = *static_cast<Exchange*>(exchange);
  try {
    return work(state) ? size : 0;
  } catch (...) {
    state.failed = std::current_exception();
    return 0;
  }
}

std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* exchange) {
  return Guarded(exchange, size * count, [&](Exchange& state) {
    state.TakeHeader({data, size * count});
    return true;
  });
}

std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* exchange) {
  return Guarded(exchange, size * count, [&](Exchange& state) {
    const BodyPart part(reinterpret_cast<const std::uint8_t*>(data), size * count);
    state.enough = IsHttpRedirect(state.answer.status) || !state.question->take ||
                   !state.question->take(state.answer, part);
    return !state.enough;
  });
}

// The file of certificates that variables name, or none.
const char* Certificates() {
  for (const char* name : {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return nullptr;
}

struct HttpOutcome {
  CURLcode code = CURLE_OK;
  std::string reason;  // where no whole answer came
  HttpAnswer answer;
};

// Keeps connections open from one request to the next.
class Client {
 public:
  explicit Client(const HttpOptions& options) : options_(options) {
    Setup();
    handle_ = {curl_easy_init(), curl_easy_cleanup};
    if (handle_ == nullptr) {
      throw Error(ErrorCode::kExhausted, "no memory for a connection; free some and try again");
    }
  }

  // One exchange with the host of `url`. Throws what `question.take` throws.
  HttpOutcome Ask(const std::string& url, const Question& question) {
    CURL* handle = handle_.get();
    curl_easy_reset(handle);
    Exchange exchange;
    exchange.answer.url = url;
    exchange.question = &question;
    char reason[CURL_ERROR_SIZE] = "";
    curl_slist* list = nullptr;
    const auto add = [&](const std::string& header) {
      curl_slist* longer = curl_slist_append(list, header.c_str());
      if (longer != nullptr) list = longer;
    };
    add("Accept-Encoding: identity");
    if (!question.token.empty()) add("Authorization: Bearer " + question.token);
    if (!question.if_range.empty()) add("If-Range: " + question.if_range);
    const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list, curl_slist_free_all);
    curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(handle, CURLOPT_USERAGENT, fmt::format("cliplens/{}", kVersion).c_str());
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_NOBODY, question.head ? 1L : 0L);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, long{options_.connect_seconds});
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, kLeastBytesPerSecond);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, long{options_.stall_seconds});
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, OnHeader);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, &exchange);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, OnBody);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &exchange);
    if (const char* file = Certificates()) curl_easy_setopt(handle, CURLOPT_CAINFO, file);
    if (question.from > 0) {
      curl_easy_setopt(handle, CURLOPT_RANGE, fmt::format("{}-", question.from).c_str());
    }
    HttpOutcome outcome;
    outcome.code = curl_easy_perform(handle);
    if (exchange.failed) std::rethrow_exception(exchange.failed);
    if (exchange.enough) outcome.code = CURLE_OK;
    if (outcome.code != CURLE_OK) {
      outcome.reason = *reason != '\0' ? reason : curl_easy_strerror(outcome.code);
    }
    outcome.answer = std::move(exchange.answer);
    return outcome;
  }

  // The same along redirects. `follow` is asked where one leads to another host; empty: yes.
  HttpOutcome AskAlong(const std::string& url, Question question,
                       const std::function<bool(const HttpAnswer&)>& follow) {
    const std::string home = HttpOrigin(url);
    std::string at = url;
    const std::string token = question.token;
    for (int hop = 0; hop <= kMostRedirects; ++hop) {
      question.token = HttpOrigin(at) == home ? token : "";
      HttpOutcome outcome = Ask(at, question);
      if (outcome.code != CURLE_OK) return outcome;
      std::string next = RedirectOf(outcome.answer);
      if (next.empty()) return outcome;
      if (follow && HttpOrigin(next) != HttpOrigin(at) && !follow(outcome.answer)) return outcome;
      at = std::move(next);
    }
    throw Error(ErrorCode::kCorruptData,
                "{}: leads on and on, after {} redirects to {}; ask its "
                "operator",
                UrlText(url), kMostRedirects, UrlText(at));
  }

  const HttpOptions& options() const { return options_; }

 private:
  HttpOptions options_;
  std::unique_ptr<CURL, void (*)(CURL*)> handle_{nullptr, curl_easy_cleanup};
};

bool NotReached(CURLcode code) {
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
         code == CURLE_COULDNT_CONNECT;
}

bool IsCut(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return NotReached(code);
  }
}

// Counts attempts that bring nothing, and waits between them.
class Attempts {
 public:
  explicit Attempts(const HttpOptions& options) : options_(options) {}

  // Whether to try again after this outcome; waits if so.
  bool Again(const HttpOutcome& outcome) {
    const bool cut = outcome.code != CURLE_OK;
    if (cut ? !IsCut(outcome.code) : !MayPass(outcome.answer.status)) return false;
    ++barren_;
    if (barren_ >= (NotReached(outcome.code) ? kConnectAttempts : options_.attempts)) return false;
    const Index asked = cut ? 0 : RetryAfter(outcome.answer, std::time(nullptr));
    if (asked > options_.most_pause_seconds) return false;
    const auto pause = std::chrono::milliseconds(Index{500} << std::min(barren_ - 1, 6));
    std::this_thread::sleep_for(
        std::max<std::chrono::milliseconds>(pause, std::chrono::seconds(asked)));
    return true;
  }

  void Begin() { barren_ = 0; }

 private:
  HttpOptions options_;
  int barren_ = 0;
};

[[noreturn]] void ThrowNoAnswer(const HttpOutcome& outcome) {
  const std::string where = UrlText(outcome.answer.url);
  const std::string reason = Printable(outcome.reason);
  if (outcome.code == CURLE_PEER_FAILED_VERIFICATION || outcome.code == CURLE_SSL_CACERT_BADFILE) {
    throw Error(ErrorCode::kPrecondition,
                "{}: its certificate cannot be trusted ({}); name the file of your certificates "
                "with SSL_CERT_FILE",
                where, reason);
  }
  throw Error(ErrorCode::kPrecondition,
              "{}: no answer ({}); check the network, then run again: what has come is kept", where,
              reason);
}

// The answer in the end, after some attempts.
HttpAnswer AskUntilAnswered(const std::string& url, const HttpOptions& options,
                            const Question& question,
                            const std::function<bool(const HttpAnswer&)>& follow,
                            const std::function<void()>& begin) {
  Client client(options);
  Attempts attempts(options);
  while (true) {
    begin();
    HttpOutcome outcome = client.AskAlong(url, question, follow);
    if (attempts.Again(outcome)) continue;
    if (outcome.code != CURLE_OK) ThrowNoAnswer(outcome);
    return std::move(outcome.answer);
  }
}

// A file that grows by the bodies of answers.
class GrowingFile {
 public:
  GrowingFile(const std::filesystem::path& path, const std::string& url, Index size, Index most)
      : path_(path),
        wanted_{.url = url, .size = size, .most = size >= 0 ? size : most},
        file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
    if (file_.get() < 0) ThrowFileError(path, "cannot create", errno);
    struct stat status;
    if (::fstat(file_.get(), &status) != 0) ThrowFileError(path, "cannot stat", errno);
    wanted_.have = status.st_size;
    // Without the size of the whole nobody can tell whether this is a part of it.
    if (size < 0 || have() > size) Restart();
  }

  void Restart() {
    if (::ftruncate(file_.get(), 0) != 0) ThrowFileError(path_, "cannot write", errno);
    wanted_.have = 0;
  }

  // Where the body of this answer begins. Throws where it is another part than that asked for.
  void Begin(const HttpAnswer& answer) {
    if (FirstByteOf(answer, wanted_) == 0) Restart();
  }

  void Append(BodyPart part) {
    const Index after = have() + std::ssize(part);
    if (after > wanted_.most) ThrowBodySize(wanted_, after, /*or_more=*/true);
    WriteAll(file_.get(), path_, part);
    wanted_.have = after;
  }

  void Finish() {
    if (wanted_.size >= 0 && !whole()) ThrowBodySize(wanted_, have(), /*or_more=*/false);
    if (::fsync(file_.get()) != 0) ThrowFileError(path_, "cannot write", errno);
  }

  Index have() const { return wanted_.have; }
  bool whole() const { return wanted_.size >= 0 && have() == wanted_.size; }

 private:
  std::filesystem::path path_;
  WantedBody wanted_;
  Descriptor file_;
};

}  // namespace

HttpAnswer HttpGet(const std::string& url, const HttpOptions& options, Index max_bytes) {
  std::string body;
  Question question{.token = options.token};
  question.take = [&](const HttpAnswer& answer, BodyPart part) {
    const bool good = answer.status >= 200 && answer.status < 300;
    const Index room = (good ? max_bytes : kMostErrorBody) - std::ssize(body);
    if (std::ssize(part) <= room) {
      body.append(part.begin(), part.end());
      return true;
    }
    if (!good) return false;
    throw Error(ErrorCode::kExhausted, "{}: has more than {} bytes; at most so many are read",
                UrlText(answer.url), max_bytes);
  };
  HttpAnswer answer = AskUntilAnswered(url, options, question, {}, [&] { body.clear(); });
  answer.body = std::move(body);
  return answer;
}

HttpAnswer HttpHead(const std::string& url, const HttpOptions& options,
                    const std::function<bool(const HttpAnswer&)>& follow) {
  return AskUntilAnswered(url, options, {.head = true, .token = options.token}, follow, [] {});
}

HttpAnswer HttpDownload(const std::string& url, const HttpOptions& options,
                        const std::filesystem::path& path, Index size, Index max_bytes,
                        const std::function<void(Index)>& progress) {
  GrowingFile file(path, url, size, max_bytes);
  const auto report = [&] {
    if (progress) progress(file.have());
  };
  report();
  Client client(options);
  Attempts attempts(options);
  Index reached = file.have();
  std::string version;  // that the file's bytes are of, as the server names it
  while (true) {
    if (file.whole()) {
      file.Finish();
      HttpAnswer answer;
      answer.status = 200;
      answer.url = url;
      return answer;
    }
    bool begun = false;
    const auto begin = [&](const HttpAnswer& answer) {
      if (!std::exchange(begun, true)) file.Begin(answer);
    };
    Question question{.token = options.token, .from = file.have(), .if_range = version};
    question.take = [&](const HttpAnswer& answer, BodyPart part) {
      if (answer.status != 200 && answer.status != 206) return false;
      begin(answer);
      file.Append(part);
      report();
      return true;
    };
    HttpOutcome outcome = client.AskAlong(url, std::move(question), {});
    const HttpAnswer& answer = outcome.answer;
    const bool good = answer.status == 200 || answer.status == 206;
    if (good && outcome.code == CURLE_OK) {
      begin(answer);  // of an empty body
      if (size < 0 || file.whole()) {
        file.Finish();
        report();
        return std::move(outcome.answer);
      }
      outcome.code = CURLE_PARTIAL_FILE;
      outcome.reason = fmt::format("it ended after {} of {} bytes", file.have(), size);
    }
    if (answer.status == 416 && file.have() > 0) {  // there is no such part of it
      file.Restart();
      continue;
    }
    if (good) {
      const std::string etag = answer.Header("etag");
      version = etag.starts_with('"') ? etag : "";
    }
    if (file.have() >= reached + kGoodAttempt) {
      reached = file.have();
      attempts.Begin();
    }
    if (attempts.Again(outcome)) continue;
    if (outcome.code != CURLE_OK) ThrowNoAnswer(outcome);
    return std::move(outcome.answer);
  }
}

}  // namespace cliplens
