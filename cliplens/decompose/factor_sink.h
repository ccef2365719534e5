// Writes factors to a store, with its exact sums, certificate, shards and manifest.
//
//   FactorSink sink("store", basis, info);
//   for (Index r = sink.next_range(); r < sink.end_range(); ++r) {
//     sink.Add({.range = r, .block = block, .items = items}, /*threads=*/0);
//   }
//   sink.Finish();
//
// The factors may come from a model's passes, another program or a generator. The store's bytes
// depend on the factors and on `info`, never on threads or interruptions.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/store_info.h"
#include "cliplens/decompose/store_writer.h"
#include "cliplens/decompose/sums.h"

namespace cliplens {

struct Manifest;

// The pictures of one range of a set, as factors.
struct FactorRange {
  Index range = 0;
  FactorBlock block = {};
  std::vector<Item> items = {};              // of the block's pictures
  std::vector<SkippedPicture> skipped = {};  // of the range, not in the block
  Index oriented = 0;                        // PictureErrors::oriented, of those read now
  bool stored = false;                       // read from what an interrupted run left
};

// The slice of each item, by its path [B].
std::vector<Index> SlicesOf(const std::vector<Item>& items, Index slices);
// The sums of one range. Ranges that were computed apart are added by StatisticsSums::Merge.
StatisticsSums SumsOf(const FactorRange& range, const Basis& basis, Index slices, int threads);

struct SinkSummary {
  Index images = 0;
  Index shards = 0;
  Index resumed_ranges = 0;  // that an interrupted run had done
  std::vector<SkippedPicture> skipped;
  std::vector<SkippedPicture> incomplete;  // were read, and lack attributes
  CertificateSummary certificate;
};

class FactorSink {
 public:
  // `info.data` names one set; its ranges are those of `info.part`. Where only stores are added, it
  // names all their sets. With kResume the sink continues a partial store. Throws as StoreWriter.
  FactorSink(const std::filesystem::path& directory, Basis basis, StoreInfo info,
             PartialDirectory::Mode mode = PartialDirectory::Mode::kNew,
             const std::string& next_step = "go on with it by --resume, or remove it");

  const Basis& basis() const { return basis_; }
  Index first_range() const { return first_; }
  Index end_range() const { return end_; }
  // The first range to add: with statistics only, those before it are in the sums already.
  Index next_range() const { return next_; }
  Index ImagesOf(Index range) const;  // of the set
  Index images() const { return sums_.images(); }

  // A range that an interrupted run left whole, to be added as it is.
  std::optional<FactorRange> Stored(Index range);

  // Adds a range. Ranges come in ascending order.
  void Add(FactorRange range, int threads);
  // The same for a range whose sums were computed apart (SumsOf).
  void Add(const FactorRange& range, const StatisticsSums& sums);
  // Adds a whole store: its files as they are, shard by shard, and its sums. Its first set is
  // `first_set` of `info.data`. Throws Error(kCorruptData) for a file whose checksum is not the
  // manifest's.
  void AddStore(const std::filesystem::path& store, const Manifest& manifest, Index first_set);

  // The same as work for several threads, beside other work: each calls Run, which returns when no
  // task is left to take. All calls must have returned before the next range is added.
  class Adding {
   public:
    Adding(FactorSink& sink, FactorRange range);
    void Run();
    // Once it has run to its end: of each picture.
    const std::vector<Item>& items() const { return range_.items; }
    const std::vector<double>& certificates() const { return summation_.certificates(); }

   private:
    FactorSink& sink_;
    FactorRange range_;
    std::vector<Index> slices_;
    BlockSummation summation_;
    Index tasks_ = 0;
    std::atomic<Index> next_{0};
    std::atomic<Index> left_{0};
  };

  // Completes the store. A store of no picture is dropped unless it is a part of a set or made of
  // stores.
  SinkSummary Finish();
  // Has the destructor remove what was written.
  void Drop() { writer_.Drop(); }
  // How many of the `end_range() − first_range()` ranges are done, and where they lie.
  Index done_ranges() const { return static_cast<Index>(writer_.done().size()); }
  const std::filesystem::path& path() const { return writer_.path(); }

 private:
  Basis basis_;
  StoreInfo info_;
  StoreWriter writer_;
  StatisticsSums sums_;
  Index first_ = 0, end_ = 0, next_ = 0;
  Index resumed_ranges_ = 0;
  bool of_stores_ = false;
  std::vector<SkippedPicture> incomplete_;
};

}  // namespace cliplens
