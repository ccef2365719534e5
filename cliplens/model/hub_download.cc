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
constexpr Index kMostTokenBytes = 4'096;
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
  HubListing listing = ParseHubListing(answer.body, UrlText(url));
  commit_ = std::move(listing.commit);
  files_ = std::move(listing.files);
}

fs::path HubDownload::snapshot() const { return folder_ / "snapshots" / commit_; }

bool HubDownload::IsLinked(const std::string& file) const {
  std::error_code ignored;
  return fs::exists(snapshot() / file, ignored);
}

fs::path HubDownload::Blob(const HubFile& file) const { return folder_ / "blobs" / file.etag; }

void HubDownload::ThrowRefused(const HttpAnswer& answer, const std::string& what) const {
  ThrowHubRefusal(answer, what,
                  {.page = UrlText(settings_.endpoint + "/" + name_.repository),
                   .revision = name_.revision,
                   .token_file = PathText(HubHome() / "token"),
                   .has_token = !settings_.http.token.empty()});
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
  return ParseHubFile(answer, file, what, commit_);
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
      .progress = progress,
      .on_wait =
          [&] {
            if (settings_.on_wait) settings_.on_wait(what);
          }};
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
