#include "cliplens/decompose/store_writer.h"

#include <algorithm>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/io/file.h"
#include "cliplens/io/random_access_file.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/io/sealed_json.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

constexpr char kProgressFormat[] = "cliplens.store-progress/3";
constexpr Index kMaxSkippedBytes = Index{1} << 30;

std::string CheckpointFile(Index range) {
  return fmt::format("progress-{:05d}.safetensors", range);
}

std::string SkippedFile(Index range) { return fmt::format("skipped-{:05d}.jsonl", range); }

// A record of what is done must not stay in a store that is.
void RemoveFile(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) ThrowFileError(path, "cannot remove", error.value());
}

// Removes what the store's writers may have left and `kept` does not name.
void RemoveOthers(const fs::path& directory, const std::vector<std::string>& kept) {
  std::error_code error;
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (IsStoreFile(name) && std::ranges::find(kept, name) == kept.end()) {
      others.push_back(entry.path());
    }
  }
  if (error) ThrowFileError(directory, "cannot list", error.value());
  for (const fs::path& path : others) RemoveFile(path);
}

}  // namespace

StoreInfo DescribeRun(const ImageEncoder& encoder, const ImageSet& set, Index shard_images,
                      std::optional<StorePart> part) {
  if (shard_images < 1) {
    throw Error(ErrorCode::kInvalidArgument, "shards of {} pictures; ask for one or more",
                shard_images);
  }
  StoreInfo info;
  const EncoderIdentity identity = encoder.identity();
  info.model_name = identity.name;
  info.model_path = fs::weakly_canonical(identity.path).string();
  info.model_architecture = identity.architecture;
  info.model_weights = identity.weights;
  info.model_pictures = identity.pictures;
  info.fingerprint = identity.fingerprint;
  info.model_config = ToJson(encoder.config());
  info.precision = NameOf(identity.precision);
  info.data.push_back(DescribeSet(set, shard_images));
  const Index ranges = info.data.front().ranges();
  if (part) {
    if (part->parts < 1 || part->index < 0 || part->index >= part->parts) {
      throw Error(ErrorCode::kInvalidArgument,
                  "part {} of {}: parts count from 0, so the last is {} of {}", part->index,
                  part->parts, std::max<Index>(part->parts, 1) - 1,
                  std::max<Index>(part->parts, 1));
    }
    if (part->parts > ranges) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{} parts of the {} pictures of {}: they are split by whole shards of {}, which "
                  "makes {}; ask for at most as many parts, or for smaller shards",
                  part->parts, set.size(), set.root(), shard_images, ranges);
    }
    // A split into one part is the whole set.
    if (part->parts > 1) info.part = part;
  }
  return info;
}

StoreWriter::StoreWriter(const fs::path& directory, StoreInfo info, PartialDirectory::Mode mode,
                         const std::string& next_step,
                         const std::function<void(const fs::path& file)>& write_basis)
    : directory_(directory, mode, next_step), info_(std::move(info)) {
  if (directory_.resumed()) {
    std::error_code ignored;
    if (const fs::path progress = path() / kProgressFile; fs::exists(progress, ignored)) {
      ReadProgress(progress);
    } else if (fs::exists(path() / kManifestFile, ignored)) {
      TakeFinished();
    } else {
      RefuseForeignFiles();
    }
    std::vector<std::string> kept = {kProgressFile, kBasisFile, checkpoint_file_};
    for (const auto& [number, range] : done_) {
      if (range.shard) kept.insert(kept.end(), {range.shard->file, range.shard->items_file});
      if (!range.skipped.empty()) kept.push_back(SkippedFile(number));
    }
    RemoveOthers(path(), kept);
  }
  WriteProgress();
  write_basis(path() / kBasisFile);
  basis_checksum_ = HashFile(path() / kBasisFile);
}

void StoreWriter::ReadProgress(const fs::path& file) {
  const std::string name = file.string();
  const Json json = ReadSealedJson(file, kMaxManifestBytes);
  const auto format = JsonField<std::string>(json, "format", name);
  if (format != kProgressFormat) {
    throw Error(ErrorCode::kUnsupported,
                "{}: format {}, this program goes on with {}; use the program that wrote it, or "
                "remove {}",
                name, format, kProgressFormat, path().string());
  }
  CheckSameRun(RunJson(info_), JsonField<Json>(json, "run", name), path().string());
  Index shards = 0;
  bool whole = true;
  for (const Json& r : JsonList(json, "ranges", name)) {
    Range range;
    const auto number = JsonField<std::int64_t>(r, "range", name);
    if (r.contains("shard")) range.shard = ParseShard(r["shard"], shards++, name);
    if (r.contains("skipped_checksum")) {
      range.skipped_checksum = JsonField<std::string>(r, "skipped_checksum", name);
      if (!ReadSkipped(number, range)) {
        whole = false;
        continue;  // is done again
      }
    }
    done_[number] = std::move(range);
  }
  // The sums of a run without shards are those of all ranges, and no range can be done again.
  if (!whole && info_.stats_only) {
    done_.clear();
    return;
  }
  if (!json.contains("checkpoint")) return;
  const Json checkpoint = JsonField<Json>(json, "checkpoint", name);
  checkpoint_file_ = JsonField<std::string>(checkpoint, "file", name);
  checkpoint_checksum_ = JsonField<std::string>(checkpoint, "checksum", name);
  if (checkpoint_file_ != kStatisticsFile &&
      (done_.empty() || checkpoint_file_ != CheckpointFile(done_.rbegin()->first))) {
    throw Error(ErrorCode::kCorruptData, "{}: a checkpoint named '{}'; remove {}", name,
                checkpoint_file_, path().string());
  }
}

// Of a run that was cut off between its last file and its name.
void StoreWriter::TakeFinished() {
  const Manifest manifest = ReadManifest(path());
  CheckSameRun(info_, manifest.info, path().string());
  const DataSource& set = info_.data.front();
  const StorePart part = info_.part.value_or(StorePart{});
  for (Index r = part.first(set.ranges()); r < part.end(set.ranges()); ++r) done_[r] = {};
  for (const ShardInfo& shard : manifest.shards) done_[shard.range].shard = shard;
  for (const SkippedItem& skipped : manifest.info.skipped) {
    done_[skipped.picture.index / set.shard_images].skipped.push_back(skipped.picture);
  }
  for (auto& [number, range] : done_) RecordSkipped(number, range);
  if (info_.stats_only) {
    checkpoint_file_ = kStatisticsFile;
    checkpoint_checksum_ = manifest.statistics_checksum;
  }
}

// Nothing is recorded: the run was cut off before its first line. Other files here belong to
// someone else.
void StoreWriter::RefuseForeignFiles() const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path(), ignored)) {
    if (IsStoreFile(entry.path().filename().string())) continue;
    throw Error(ErrorCode::kPrecondition,
                "{}: is no store in the making ('{}' is in it); remove it or name another "
                "directory",
                path().string(), entry.path().filename().string());
  }
}

void StoreWriter::RecordSkipped(Index number, Range& range) const {
  if (range.skipped.empty()) return;
  std::string lines;
  for (const SkippedPicture& picture : range.skipped)
    lines += DumpJson(SkippedJson(picture)) + "\n";
  range.skipped_checksum = HashBytes(AsBytes(lines));
  WriteFileAtomically(path() / SkippedFile(number), lines);
}

bool StoreWriter::ReadSkipped(Index number, Range& range) const {
  const fs::path file = path() / SkippedFile(number);
  try {
    if (HashFile(file) != range.skipped_checksum) return false;
    const std::string lines = ReadTextFile(file, kMaxSkippedBytes);
    for (std::size_t begin = 0; begin < lines.size();) {
      const std::size_t end = std::min(lines.find('\n', begin), lines.size());
      const std::string_view line = std::string_view(lines).substr(begin, end - begin);
      range.skipped.push_back(ParseSkipped(ParseJson(line, file.string()), file.string()));
      begin = end + 1;
    }
    return true;
  } catch (const Error&) {
    return false;  // missing, or not to be read
  }
}

void StoreWriter::WriteProgress() {
  Json ranges = Json::array();
  for (const auto& [number, range] : done_) {
    Json entry = {{"range", number}};
    if (range.shard) entry["shard"] = ShardJson(*range.shard);
    if (!range.skipped.empty()) entry["skipped_checksum"] = range.skipped_checksum;
    ranges.push_back(std::move(entry));
  }
  Json progress = {{"format", kProgressFormat}, {"run", RunJson(info_)}, {"ranges", ranges}};
  if (!checkpoint_file_.empty()) {
    progress["checkpoint"] = {{"file", checkpoint_file_}, {"checksum", checkpoint_checksum_}};
  }
  WriteFileAtomically(path() / kProgressFile, SealJson(std::move(progress)));
  if (!done_.empty()) directory_.KeepOnFailure();
}

bool StoreWriter::IsWhole(const ShardInfo& shard) const {
  try {
    return HashFile(path() / shard.file) == shard.checksum &&
           HashFile(path() / shard.items_file) == shard.items_checksum;
  } catch (const Error&) {
    return false;  // missing, or not to be read: to be made again
  }
}

SafetensorsFile StoreWriter::OpenShard(const ShardInfo& shard) const {
  return SafetensorsFile(path() / shard.file);
}

std::vector<Item> StoreWriter::ReadItems(const ShardInfo& shard) const {
  return ReadItemsFile(path() / shard.items_file, shard.images, shard.items_checksum);
}

std::optional<fs::path> StoreWriter::Checkpoint() const {
  fs::path file = path() / checkpoint_file_;
  try {
    if (checkpoint_file_.empty() || HashFile(file) != checkpoint_checksum_) return std::nullopt;
    return file;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void StoreWriter::Restart() {
  done_.clear();
  checkpoint_file_.clear();
  checkpoint_checksum_.clear();
  WriteProgress();
}

void StoreWriter::AddRange(Index number, std::span<const TensorToWrite> tensors,
                           std::span<const Item> items, std::vector<SkippedPicture> skipped) {
  Index index = 0;
  for (const auto& [other, range] : done_) {
    if (other < number && range.shard) ++index;
  }
  Range range;
  range.skipped = std::move(skipped);
  if (!items.empty()) {
    ShardInfo shard;
    shard.range = number;
    shard.file = ShardFile(index);
    shard.items_file = ItemsFile(index);
    shard.images = static_cast<Index>(items.size());
    std::string lines;
    for (const Item& item : items) lines += ItemLine(item);
    shard.items_checksum = HashBytes(AsBytes(lines));
    WriteFileAtomically(path() / shard.items_file, lines);
    shard.checksum = WriteSafetensors(path() / shard.file, tensors);
    range.shard = std::move(shard);
  }
  if (const auto before = done_.find(number); before != done_.end()) {
    const auto images = [](const Range& r) { return r.shard ? r.shard->images : 0; };
    if (images(before->second) != images(range) || before->second.skipped != range.skipped) {
      throw Error(ErrorCode::kPrecondition,
                  "{}: its shard {} was damaged, and of the pictures that are made again {} can be "
                  "read, {} could then; remove it and run again",
                  path().string(), index, images(range), images(before->second));
    }
  }
  RecordSkipped(number, range);
  done_[number] = std::move(range);
  WriteProgress();
}

void StoreWriter::AddRange(Index number, const WriteFile& checkpoint,
                           std::vector<SkippedPicture> skipped) {
  const std::string file = CheckpointFile(number);
  const std::string checksum = checkpoint(path() / file);
  const std::string before = std::exchange(checkpoint_file_, file);
  checkpoint_checksum_ = checksum;
  Range range = {std::nullopt, std::move(skipped), ""};
  RecordSkipped(number, range);
  done_[number] = std::move(range);
  WriteProgress();
  std::error_code ignored;
  if (!before.empty() && before != file) fs::remove(path() / before, ignored);
}

void StoreWriter::AddSkipped(Index number, std::vector<SkippedPicture> skipped) {
  Range range = {std::nullopt, std::move(skipped), ""};
  RecordSkipped(number, range);
  done_[number] = std::move(range);
}

void StoreWriter::CopyShard(const fs::path& from, ShardInfo shard) {
  const auto number = static_cast<Index>(done_.size());
  const auto copy = [&](std::string& name, const std::string& to, const std::string& checksum) {
    AtomicFile out(path() / to);
    Hasher hasher;
    RandomAccessFile(from / name).ReadAll([&](std::span<const std::uint8_t> block) {
      hasher.Update(block);
      out.Write(block);
    });
    if (hasher.Digest() != checksum) CheckHash(from / name, checksum);
    out.Commit();
    name = to;
  };
  copy(shard.file, ShardFile(number), shard.checksum);
  copy(shard.items_file, ItemsFile(number), shard.items_checksum);
  done_[number].shard = std::move(shard);
}

void StoreWriter::Finish(Index images, const CertificateSummary& certificate,
                         const WriteFile& statistics) {
  Manifest manifest;
  manifest.info = info_;
  manifest.info.images = images;
  manifest.info.certificate = certificate;
  if (manifest.info.data.size() == 1) manifest.info.data.front().images = images;
  std::vector<std::string> kept = {kProgressFile, kBasisFile, kStatisticsFile, kManifestFile,
                                   checkpoint_file_};
  for (const auto& [number, range] : done_) {
    if (range.shard) {
      manifest.shards.push_back(*range.shard);
      kept.insert(kept.end(), {range.shard->file, range.shard->items_file});
    }
    for (const SkippedPicture& picture : range.skipped) {
      manifest.info.skipped.push_back({0, picture});
    }
    if (!range.skipped.empty()) kept.push_back(SkippedFile(number));
  }
  manifest.basis_checksum = basis_checksum_;
  manifest.statistics_checksum = statistics(path() / kStatisticsFile);
  RemoveOthers(path(), kept);
  WriteFileAtomically(path() / kManifestFile, ManifestText(manifest));
  RemoveFile(path() / kProgressFile);
  if (!checkpoint_file_.empty() && checkpoint_file_ != kStatisticsFile) {
    RemoveFile(path() / checkpoint_file_);
  }
  for (const auto& [number, range] : done_) {
    if (!range.skipped.empty()) RemoveFile(path() / SkippedFile(number));
  }
  directory_.Commit();
}

}  // namespace cliplens
