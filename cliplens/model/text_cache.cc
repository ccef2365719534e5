#include "cliplens/model/text_cache.h"

#include <cstdlib>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/version.h"
#include "cliplens/io/file.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/model/unit_row.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

constexpr char kTensor[] = "texts";
constexpr char kChecksum[] = "checksum";

// By everything that the rows depend on. The fingerprint may come from a file, so it is no part of
// a path.
fs::path CacheFile(const CacheKey& key, const CachedTextsOptions& options, bool truncate) {
  Hasher hasher;
  hasher.Update(fmt::format("{} {} {} {} {} {}\n", kVersion, key.kind, key.fingerprint.size(),
                            key.fingerprint, NameOf(key.precision), truncate));
  for (const std::string& text : key.texts) {
    hasher.Update(fmt::format("{} ", text.size()));
    hasher.Update(text);
  }
  return options.directory / fmt::format("{}-{}.safetensors", key.kind, hasher.Digest());
}

// Nothing where the file is not there, not whole, of other texts, or holds what is no embedding.
std::optional<Array<float, 2>> Read(const fs::path& path, Index texts) {
  try {
    const SafetensorsFile file(path);
    const TensorEntry& entry = file.at(kTensor);
    const auto checksum = file.metadata().find(kChecksum);
    if (entry.type != DataType::kF32 || entry.shape.size() != 2 || entry.shape[0] != texts ||
        checksum == file.metadata().end()) {
      return std::nullopt;
    }
    Array<float, 2> rows({texts, entry.shape[1]}, file.ReadAsFloat(entry));
    if (checksum->second != HashBytes(AsBytes(rows.flat()))) return std::nullopt;
    for (Index i = 0; i < texts; ++i) CheckEmbedding(rows.row(i), "");
    return rows;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void Write(const fs::path& path, const Array<float, 2>& rows) {
  try {
    std::error_code ignored;
    fs::create_directories(path.parent_path(), ignored);
    const TensorToWrite tensor{
        kTensor, DataType::kF32, {rows.dim(0), rows.dim(1)}, AsBytes(rows.flat())};
    WriteSafetensors(path, {&tensor, 1}, {{kChecksum, HashBytes(tensor.bytes)}});
  } catch (const Error&) {
    // Without a writable cache, rows are computed each time.
  }
}

}  // namespace

fs::path CacheDirectory() {
  const auto variable = [](const char* name) -> fs::path {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const fs::path cache = variable("XDG_CACHE_HOME"); cache.is_absolute()) {
    return cache / "cliplens";
  }
  const fs::path home = variable("HOME");
  return home.is_absolute() ? home / ".cache" / "cliplens" : fs::path();
}

RowModel::RowModel(const ClipModel& loaded)
    : fingerprint(loaded.text_fingerprint()),
      precision(loaded.precision()),
      load([&loaded]() -> const ClipModel& { return loaded; }) {}

Array<float, 2> RowModel::EmbedTexts(std::span<const std::string> texts, bool truncate, int threads,
                                     const ProgressSink& progress) const {
  if (!encoder) return load().EmbedTexts(texts, truncate, threads, progress);
  Array<float, 2> rows = encoder(texts, truncate);
  if (rows.dim(0) != std::ssize(texts)) {
    throw Error(ErrorCode::kInvalidArgument, "the encoder of texts gave {} rows of {} texts",
                rows.dim(0), texts.size());
  }
  for (Index i = 0; i < rows.dim(0); ++i) CheckEmbedding(rows.row(i), texts[ToSize(i)]);
  return rows;
}

Array<float, 2> CachedTexts(const RowModel& model, std::span<const std::string> texts,
                            const CachedTextsOptions& options) {
  return CachedRows(
      {"texts", model.fingerprint, model.precision, texts}, std::ssize(texts), options,
      [&] { return model.EmbedTexts(texts, options.truncate, options.threads, options.progress); });
}

Array<float, 2> CachedRows(const CacheKey& key, Index count, const CachedTextsOptions& options,
                           const std::function<Array<float, 2>()>& make) {
  if (options.directory.empty()) return make();
  const fs::path path = CacheFile(key, options, options.truncate);
  if (std::optional<Array<float, 2>> rows = Read(path, count)) return *std::move(rows);
  if (options.truncate) {  // the rows of texts that all fitted are the same
    const fs::path whole = CacheFile(key, options, false);
    if (std::optional<Array<float, 2>> rows = Read(whole, count)) return *std::move(rows);
  }
  Array<float, 2> rows = make();
  Write(path, rows);
  return rows;
}

}  // namespace cliplens
