#include "cliplens/model/hub_download.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/ascii.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/checked_download.h"
#include "cliplens/io/digest.h"
#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

constexpr Index kMostListing = Index{32} << 20;
constexpr Index kMostListingValues = Index{1} << 20;
constexpr Index kMostTokenBytes = 4'096;
// The largest weights of open_clip take 10 GB.
constexpr Index kMostFileBytes = Index{1} << 40;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool IsOn(const char* name) {
  const std::string value = LowerAscii(Variable(name));
  return value == "1" || value == "on" || value == "yes" || value == "true";
}

// Seconds that a variable gives, or `otherwise`.
int SecondsOf(const char* name, int otherwise) {
  const std::string text = Variable(name);
  if (text.empty()) return otherwise;
  constexpr int kMost = 86'400;
  const int seconds = ParseNumber<int>(text).value_or(0);
  if (seconds < 1 || seconds > kMost) {
    throw Error(ErrorCode::kInvalidArgument, "{}={}: seconds from 1 to {} are wanted", name,
                Printable(text, 40), kMost);
  }
  return seconds;
}

// The token, or nothing. It becomes part of a header, so it has no blanks or line ends.
std::string ReadToken() {
  std::string token = Variable("HF_TOKEN");
  if (token.empty()) token = Variable("HUGGING_FACE_HUB_TOKEN");
  std::string where = "HF_TOKEN";
  if (token.empty() && !IsOn("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
    fs::path file = Variable("HF_TOKEN_PATH");
    if (file.empty()) file = HubHome() / "token";
    where = PathText(file);
    std::error_code ignored;
    if (fs::exists(file, ignored)) token = ReadTextFile(file, kMostTokenBytes);
  }
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!token.empty() && blank(token.back())) token.pop_back();
  token.erase(token.begin(), std::ranges::find_if_not(token, blank));
  if (!std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; })) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: holds no token: blanks or other characters are in it; a token looks like "
                "hf_...",
                where);
  }
  return token;
}

// What stands in quotation marks of an ETag.
std::string EtagOf(std::string_view header) {
  if (header.starts_with("W/")) header.remove_prefix(2);
  if (header.starts_with('"')) header.remove_prefix(1);
  if (header.ends_with('"')) header.remove_suffix(1);
  return std::string(header);
}

bool IsBlobName(std::string_view etag) {
  return !etag.empty() && etag.size() <= 128 && etag.front() != '.' &&
         std::ranges::all_of(etag, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.';
         });
}

bool IsHexadecimal(std::string_view text, std::size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// Throws where a file's bytes are not those that its name among the blobs stands for.
void CheckBlob(const fs::path& file, const HubFile& wanted, const std::string& where) {
  std::string got;
  if (IsHexadecimal(wanted.etag, 64)) {
    got = FileDigest(file, DigestKind::kSha256);
  } else if (IsHexadecimal(wanted.etag, 40)) {
    const std::string head = fmt::format("blob {}", fs::file_size(file));
    got = FileDigest(file, DigestKind::kSha1, std::string_view(head.c_str(), head.size() + 1));
  } else {
    return;  // a mirror's own name
  }
  if (got == wanted.etag) return;
  throw Error(ErrorCode::kCorruptData,
              "{}: what came has the checksum {}, the hub says {}; it was thrown away, run again",
              where, got, wanted.etag);
}

// A name for a blob in a snapshot. Where the disk has no links the blob itself gets it.
void LinkBlob(const fs::path& blob, const fs::path& name) {
  std::error_code error;
  if (fs::exists(name, error)) return;
  MakeDirectories(name.parent_path());
  fs::remove(name, error);  // a link that leads nowhere
  fs::create_symlink(fs::path("../../blobs") / blob.filename(), name, error);
  if (!error || error == std::errc::file_exists) return;
  const std::error_code linked = error;
  fs::rename(blob, name, error);
  if (error) ThrowFileError(name, "cannot link", linked.value());
}

}  // namespace

HubSettings HubSettingsHere() {
  HubSettings settings;
  settings.offline =
      IsOn(Variable("HF_HUB_OFFLINE").empty() ? "TRANSFORMERS_OFFLINE" : "HF_HUB_OFFLINE");
  settings.cache = HubCacheRoot();
  if (const std::string endpoint = Variable("HF_ENDPOINT"); !endpoint.empty()) {
    settings.endpoint = endpoint;
    while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
    if (!endpoint.starts_with("https://") && !endpoint.starts_with("http://")) {
      throw Error(ErrorCode::kInvalidArgument,
                  "HF_ENDPOINT={}: the address of a hub is wanted, such as https://huggingface.co",
                  UrlText(endpoint));
    }
  }
  settings.http.connect_seconds = SecondsOf("HF_HUB_ETAG_TIMEOUT", settings.http.connect_seconds);
  settings.http.stall_seconds = SecondsOf("HF_HUB_DOWNLOAD_TIMEOUT", settings.http.stall_seconds);
  if (!settings.offline) settings.http.token = ReadToken();
  return settings;
}

HubDownload::HubDownload(HubName name, HubSettings settings)
    : name_(std::move(name)),
      settings_(std::move(settings)),
      folder_(HubRepositoryFolder(settings_.cache, name_)) {
  const std::string url = fmt::format("{}/api/models/{}/revision/{}", settings_.endpoint,
                                      name_.repository, UrlPart(name_.revision));
  const HttpAnswer answer = HttpGet(url, settings_.http, kMostListing);
  if (answer.status != 200) ThrowRefused(answer, HubNameText(name_));
  const std::string where = UrlText(url);
  const Json listing = ParseJson(answer.body, where, kMostListingValues);
  commit_ = JsonField<std::string>(listing, "sha", where);
  if (!IsHubCommit(commit_)) {
    throw Error(ErrorCode::kCorruptData, "{}: 'sha' is '{}', which is no commit; is this a hub?",
                where, Printable(commit_, 60));
  }
  for (const Json& file : JsonList(listing, "siblings", where)) {
    files_.insert(JsonField<std::string>(file, "rfilename", where));
  }
}

fs::path HubDownload::snapshot() const { return folder_ / "snapshots" / commit_; }

bool HubDownload::IsLinked(const std::string& file) const {
  std::error_code ignored;
  return fs::exists(snapshot() / file, ignored);
}

fs::path HubDownload::Blob(const HubFile& file) const { return folder_ / "blobs" / file.etag; }

void HubDownload::ThrowRefused(const HttpAnswer& answer, const std::string& what) const {
  const std::string reason = answer.Header("x-error-code");
  const std::string page = UrlText(settings_.endpoint + "/" + name_.repository);
  const bool token = !settings_.http.token.empty();
  const std::string give =
      token ? "give another token, this one may not read it or has expired: HF_TOKEN=hf_..."
            : "give a token: HF_TOKEN=hf_..., or the file " + PathText(HubHome() / "token");
  switch (answer.status) {
    case 401:
    case 403:
      if (reason == "GatedRepo") {
        throw Error(ErrorCode::kPrecondition, "{}: is gated ({}): accept its terms at {} and {}",
                    what, answer.status, page, give);
      }
      throw Error(ErrorCode::kPrecondition,
                  "{}: the hub does not show it ({}): it is private, or there is no such "
                  "repository; check the name, or {}",
                  what, answer.status, give);
    case 404:
      if (reason == "RevisionNotFound") {
        throw Error(ErrorCode::kNotFound, "{}: has no revision '{}'; its revisions are at {}", what,
                    name_.revision, page);
      }
      throw Error(ErrorCode::kNotFound, "{}: there is no such model at {} (404); check the name",
                  what, page);
    case 429: {
      const std::string wait = answer.Header("retry-after");
      throw Error(ErrorCode::kExhausted,
                  "{}: the hub refuses further requests (429{}); run again later{}", what,
                  wait.empty() ? "" : ", Retry-After " + Printable(wait, 40),
                  token ? "" : ", or " + give);
    }
    default:
      throw Error(ErrorCode::kPrecondition,
                  "{}: the hub answers with status {} ({}); run again later, what has come is kept",
                  what, answer.status, UrlText(answer.url));
  }
}

HubFile HubDownload::Describe(const std::string& file) const {
  const std::string url = fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, name_.repository,
                                      commit_, UrlPart(file));
  const std::string what = fmt::format("{}: {}", HubNameText(name_), Printable(file));
  // What the hub itself says counts, not what the storage says that it leads to.
  const HttpAnswer answer = HttpHead(url, settings_.http, [](const HttpAnswer& from) {
    return from.Header("x-repo-commit").empty();
  });
  const bool redirect = answer.status >= 300 && answer.status < 400;
  if (answer.status != 200 && !redirect) ThrowRefused(answer, what);
  HubFile out{.name = file, .etag = EtagOf(answer.Header("x-linked-etag"))};
  if (out.etag.empty()) out.etag = EtagOf(answer.Header("etag"));
  if (!IsBlobName(out.etag)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the hub names its bytes '{}', which is no ETag; is {} a hub?", what,
                Printable(out.etag, 80), UrlText(settings_.endpoint));
  }
  const std::string commit = answer.Header("x-repo-commit");
  if (!commit.empty() && commit != commit_) {
    throw Error(ErrorCode::kCorruptData, "{}: is of commit {}, {} was asked for; run again", what,
                Printable(commit, 60), commit_);
  }
  std::string size = answer.Header("x-linked-size");
  if (size.empty() && !redirect) size = answer.Header("content-length");
  out.size = ParseNumber<Index>(size).value_or(-1);
  if (out.size > kMostFileBytes) {
    throw Error(ErrorCode::kExhausted, "{}: has {} bytes, at most {} are fetched", what, out.size,
                kMostFileBytes);
  }
  return out;
}

Index HubDownload::Missing(const HubFile& file) const {
  std::error_code ignored;
  if (file.size < 0 || fs::exists(Blob(file), ignored)) return 0;
  fs::path part = Blob(file);
  part += ".incomplete";
  const std::uintmax_t have = fs::file_size(part, ignored);
  return ignored ? file.size : std::max<Index>(file.size - static_cast<Index>(have), 0);
}

void HubDownload::CheckRoom(Index bytes) const {
  MakeDirectories(folder_ / "blobs");
  std::error_code error;
  const fs::space_info room = fs::space(folder_ / "blobs", error);
  if (error || room.available >= static_cast<std::uintmax_t>(bytes)) return;
  throw Error(ErrorCode::kExhausted,
              "{}: {} bytes are wanted, the disk of {} has {}; free space, or name a cache "
              "elsewhere with HF_HOME",
              HubNameText(name_), bytes, PathText(settings_.cache), room.available);
}

fs::path HubDownload::Fetch(const HubFile& file, Index max_bytes,
                            const std::function<void(Index)>& progress) const {
  const std::string what = fmt::format("{}: {}", HubNameText(name_), Printable(file.name));
  if (file.size > max_bytes) {
    throw Error(ErrorCode::kExhausted, "{}: has {} bytes, at most {} of such a file are fetched",
                what, file.size, max_bytes);
  }
  CheckedDownload download{
      .url = fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, name_.repository, commit_,
                         UrlPart(file.name)),
      .http = settings_.http,
      .file = Blob(file),
      .lock = settings_.cache / ".locks" / folder_.filename() / (file.etag + ".lock"),
      .size = file.size,
      .max_bytes = max_bytes,
      .check = [&](const fs::path& part) { CheckBlob(part, file, what); },
      .refuse = [&](const HttpAnswer& answer) { ThrowRefused(answer, what); },
      .progress = progress};
  FetchChecked(download);
  return download.file;
}

void HubDownload::Link(std::span<const HubFile> files) const {
  for (const HubFile& file : files) LinkBlob(Blob(file), snapshot() / file.name);
  if (name_.revision == commit_) return;
  const fs::path reference = folder_ / "refs" / name_.revision;
  std::error_code ignored;
  // A cache that has it all may be one that cannot be written.
  if (fs::file_size(reference, ignored) == commit_.size() && !ignored &&
      ReadTextFile(reference, std::ssize(commit_)) == commit_) {
    return;
  }
  MakeDirectories(reference.parent_path());
  WriteFileAtomically(reference, commit_);
}

}  // namespace cliplens
