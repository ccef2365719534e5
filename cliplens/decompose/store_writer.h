// Writes a store range by range, for FactorSink.
//
//   StoreWriter writer("store", basis, info, PartialDirectory::Mode::kNew,
//                      /*next_step=*/"remove it and run again");
//   writer.AddRange(/*range=*/0, block, items, /*skipped=*/{});
//   writer.Finish(SumsOf({.block = block, .items = items}, basis, info.slices, /*threads=*/0));
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/store_info.h"
#include "cliplens/io/partial_directory.h"

namespace cliplens {

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

  // With kResume it continues a partial store. Throws Error(kInvalidArgument) that names what
  // differs if that is of another run, and as PartialDirectory does, whose `next_step` it passes
  // on.
  StoreWriter(const std::filesystem::path& directory, const Basis& basis, StoreInfo info,
              PartialDirectory::Mode mode, const std::string& next_step);

  // What an interrupted run had done, by range. The caller asks IsWhole about a shard's files,
  // which reads and checks them.
  const std::map<Index, Range>& done() const { return done_; }
  bool IsWhole(const ShardInfo& shard) const;
  FactorBlock ReadShard(const ShardInfo& shard, const Basis& basis) const;
  std::vector<Item> ReadItems(const ShardInfo& shard) const;
  // The sums up to the last range, with stats_only; nothing if their file is damaged.
  std::optional<StatisticsSums> ReadCheckpoint() const;
  // Has the destructor remove the partial store.
  void Drop() { directory_.DropOnFailure(); }
  // Forgets what was done, for stats_only when the sums cannot be read.
  void Restart();

  // Adds the pictures of a range, none if all were skipped. A range that was done before is written
  // again; Error(kPrecondition) says so if its pictures are not those that were read before.
  void AddRange(Index range, const FactorBlock& block, std::span<const Item> items,
                std::vector<SkippedPicture> skipped);
  // The same with stats_only: `sums` are those of all ranges so far.
  void AddRange(Index range, const StatisticsSums& sums, std::vector<SkippedPicture> skipped);
  // Copies a shard of the store in `from`, checked, behind those that are there; `shard.source` is
  // a set of this store. It is not recorded: a store that is cut off must be written anew.
  void CopyShard(const std::filesystem::path& from, ShardInfo shard);
  // Completes the store. `sums` are those of all its pictures.
  void Finish(const StatisticsSums& sums);

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
