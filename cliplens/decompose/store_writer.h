// Writing a store, range by range: what FactorSink writes its files with.
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
// end. After each range of pictures a record of what is done is written, from which another writer
// goes on; the store is the same to the byte. What a record names is checked before it is trusted.
class StoreWriter {
 public:
  // A range that is done.
  struct Range {
    std::optional<ShardInfo> shard;  // nothing where no picture could be read, or with stats_only
    std::vector<SkippedPicture> skipped;
  };

  // With kResume a partial store is gone on with. Throws Error(kInvalidArgument) naming what
  // differs when it is of another run, and as PartialDirectory does.
  StoreWriter(const std::filesystem::path& directory, const Basis& basis, StoreInfo info,
              PartialDirectory::Mode mode);

  // What an interrupted run had done, by range. Whether the files of a shard are whole is for the
  // caller to ask: IsWhole reads and checks them.
  const std::map<Index, Range>& done() const { return done_; }
  bool IsWhole(const ShardInfo& shard) const;
  FactorBlock ReadShard(const ShardInfo& shard, const Basis& basis) const;
  std::vector<Item> ReadItems(const ShardInfo& shard) const;
  // The sums up to the last range, with stats_only; nothing if their file is damaged.
  std::optional<StatisticsSums> ReadCheckpoint() const;
  // Nothing of what was done is worth keeping: the partial store goes with this object.
  void Drop() { directory_.DropOnFailure(); }
  // Forgets what was done: with stats_only, when the sums are gone.
  void Restart();

  // A range's pictures; none of them if all were skipped. A range that was done before is written
  // again, and Error(kPrecondition) says so if other pictures could be read then.
  void AddRange(Index range, const FactorBlock& block, std::span<const Item> items,
                std::vector<SkippedPicture> skipped);
  // The same with stats_only: `sums` are those of all ranges so far.
  void AddRange(Index range, const StatisticsSums& sums, std::vector<SkippedPicture> skipped);
  // The store is done. `sums` are those of all its pictures.
  void Finish(const StatisticsSums& sums);

  const std::filesystem::path& path() const { return directory_.path(); }

 private:
  void WriteProgress();

  PartialDirectory directory_;
  StoreInfo info_;
  std::string basis_checksum_;
  std::map<Index, Range> done_;
  std::string checkpoint_file_;
  std::string checkpoint_checksum_;
};

}  // namespace cliplens
