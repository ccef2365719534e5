// Writes a store range by range: manifest, items and tensors of any kind, for FactorSink and
// others.
//
//   StoreWriter writer("store", info, PartialDirectory::Mode::kNew,
//                      /*next_step=*/"remove it and run again",
//                      [&](const std::filesystem::path& file) { WriteBasis(file, basis); });
//   writer.AddRange(/*range=*/0, TensorsOf(block, info.type).tensors, items, /*skipped=*/{});
//   writer.Finish(sums.images(), {}, [&](const std::filesystem::path& file) {
//     return sums.Write(file);
//   });
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/decompose/store_info.h"
#include "cliplens/io/partial_directory.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/model/encoder.h"

namespace cliplens {

// What a run of the encoder over the set, or over a part of it, records of itself before it begins.
// Throws Error(kInvalidArgument) for shards of no picture, and for a part that the set does not
// have.
StoreInfo DescribeRun(const ImageEncoder& encoder, const ImageSet& set, Index shard_images,
                      std::optional<StorePart> part);

// Writes a store into `DIRECTORY.partial` (see PartialDirectory), which becomes `DIRECTORY` at the
// end. After each range it writes a record of what is done, from which another writer can continue
// to a store of the same bytes. The files that a record names are checked before use.
class StoreWriter {
 public:
  // A range that is done.
  struct Range {
    std::optional<ShardInfo> shard;  // nothing where no picture could be read, or with stats_only
    std::vector<SkippedPicture> skipped;
    std::string skipped_checksum;  // of their file; empty if none were skipped
  };

  // Writes the file and returns its checksum.
  using WriteFile = std::function<std::string(const std::filesystem::path& file)>;

  // `write_basis` writes the file of the weights' part. With kResume it continues a partial store.
  // Throws Error(kInvalidArgument) that names what differs if that is of another run, and as
  // PartialDirectory does, whose `next_step` it passes on.
  StoreWriter(const std::filesystem::path& directory, StoreInfo info, PartialDirectory::Mode mode,
              const std::string& next_step,
              const std::function<void(const std::filesystem::path& file)>& write_basis);

  // What an interrupted run had done, by range. The caller asks IsWhole about a shard's files,
  // which reads and checks them.
  const std::map<Index, Range>& done() const { return done_; }
  bool IsWhole(const ShardInfo& shard) const;
  SafetensorsFile OpenShard(const ShardInfo& shard) const;
  std::vector<Item> ReadItems(const ShardInfo& shard) const;
  // The file of what is known of all ranges so far, with stats_only; nothing if it is damaged.
  std::optional<std::filesystem::path> Checkpoint() const;
  // Has the destructor remove the partial store.
  void Drop() { directory_.DropOnFailure(); }
  // Forgets what was done, for stats_only when the checkpoint cannot be read.
  void Restart();

  // Adds the pictures of a range, none if all were skipped. A range that was done before is written
  // again; Error(kPrecondition) says so if its pictures are not those that were read before.
  void AddRange(Index range, std::span<const TensorToWrite> tensors, std::span<const Item> items,
                std::vector<SkippedPicture> skipped);
  // The same with stats_only: `checkpoint` is of all ranges so far.
  void AddRange(Index range, const WriteFile& checkpoint, std::vector<SkippedPicture> skipped);
  // The same where nothing of a range is kept but what it skipped, all at the end of a run.
  void AddSkipped(Index range, std::vector<SkippedPicture> skipped);
  // Copies a shard of the store in `from`, checked, behind those that are there; `shard.source` is
  // a set of this store. It is not recorded: a store that is cut off must be written anew.
  void CopyShard(const std::filesystem::path& from, ShardInfo shard);
  // Completes the store of so many pictures. `statistics` writes what is known of all of them.
  void Finish(Index images, const CertificateSummary& certificate, const WriteFile& statistics);

  const std::filesystem::path& path() const { return directory_.path(); }

 private:
  void ReadProgress(const std::filesystem::path& file);
  void TakeFinished();
  void RefuseForeignFiles() const;
  // The pictures that a range skipped are recorded in a file of the range, so that a record of what
  // is done does not grow with all that were skipped before.
  void RecordSkipped(Index number, Range& range) const;
  bool ReadSkipped(Index number, Range& range) const;  // false if the file is damaged
  void WriteProgress();

  PartialDirectory directory_;
  StoreInfo info_;
  std::string basis_checksum_;
  std::map<Index, Range> done_;
  std::string checkpoint_file_;
  std::string checkpoint_checksum_;
};

}  // namespace cliplens
