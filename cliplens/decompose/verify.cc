#include "cliplens/decompose/verify.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/file_name.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

bool AllFinite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

class Verifier {
 public:
  Verifier(fs::path directory, const VerifyOptions& options)
      : directory_(std::move(directory)), options_(options) {}

  std::vector<Problem> Verify() {
    std::optional<Manifest> manifest;
    Check(kManifestFile, [&] { manifest = ReadManifest(directory_); });
    if (!manifest) return std::move(problems_);
    manifest_ = &*manifest;
    CheckNames();
    CheckCounts();
    std::optional<Basis> basis;
    Check(kBasisFile, [&] {
      CheckHash(directory_ / kBasisFile, manifest_->basis_checksum);
      Basis read = ReadBasis(directory_ / kBasisFile, manifest_->info.factor_constants);
      if (!AllFinite(read.heads.flat())) Fail(kBasisFile, "a number of it is not finite");
      basis = std::move(read);
    });
    std::optional<StatisticsSums> sums;
    Check(kStatisticsFile, [&] {
      CheckHash(directory_ / kStatisticsFile, manifest_->statistics_checksum);
      sums = StatisticsSums::Read(directory_ / kStatisticsFile);
    });
    if (sums) Check(kManifestFile, [&] { CheckCertificates(*sums); });
    if (basis && sums) Check(kStatisticsFile, [&] { CheckSums(*basis, *sums); });
    if (basis && !manifest_->info.stats_only) CheckShards(*basis, sums);
    if (options_.model != nullptr) CheckModel(basis);
    return std::move(problems_);
  }

 private:
  template <typename F>
  void Check(const std::string& file, F check) {
    try {
      check();
    } catch (const Error& error) {
      problems_.push_back({error.code(), file, error.what()});
    }
  }

  template <typename... Args>
  [[noreturn]] void Fail(const std::string& file, fmt::format_string<Args...> format,
                         Args&&... args) const {
    throw Error(ErrorCode::kCorruptData, "{}: {}; restore it or make it again",
                (directory_ / file).string(), fmt::format(format, std::forward<Args>(args)...));
  }

  // Files that look like the store's and are not: a reader would pass over them.
  void CheckNames() {
    std::set<std::string> known = {kManifestFile, kStatisticsFile, kBasisFile};
    for (const ShardInfo& shard : manifest_->shards) known.insert({shard.file, shard.items_file});
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory_, error)) {
      const std::string name = entry.path().filename().string();
      if (!IsStoreFile(name) || known.contains(name)) continue;
      problems_.push_back(
          {ErrorCode::kCorruptData, name,
           fmt::format("{}: is not in the manifest; remove it", entry.path().string())});
    }
    if (error) {
      problems_.push_back({ErrorCode::kPrecondition, "",
                           fmt::format("{}: cannot be listed: {}; check the permissions",
                                       directory_.string(), error.message())});
    }
  }

  void CheckCounts() {
    const StoreInfo& info = manifest_->info;
    std::vector<Index> images(info.data.size(), 0);
    std::vector<std::set<Index>> ranges(info.data.size());
    for (const ShardInfo& shard : manifest_->shards) {
      Check(kManifestFile, [&] {
        const auto at = ToSize(shard.source);
        const DataSource& source = info.data[at];
        images[at] += shard.images;
        if (shard.images < 1 || shard.images > source.shard_images ||
            shard.range >= source.ranges() || !ranges[at].insert(shard.range).second) {
          Fail(kManifestFile, "'{}' has {} pictures of range {}, the set has {} ranges of {}",
               shard.file, shard.images, shard.range, source.ranges(), source.shard_images);
        }
      });
    }
    std::vector<Index> skipped(info.data.size(), 0);
    for (const SkippedItem& item : info.skipped) ++At(skipped, item.source);
    for (std::size_t d = 0; d < info.data.size(); ++d) {
      Check(kManifestFile, [&] {
        const DataSource& source = info.data[d];
        if (!info.stats_only && images[d] != source.images) {
          Fail(kManifestFile, "{} pictures of {}, the shards have {}", source.images, source.root,
               images[d]);
        }
        Index wanted = source.set_images;
        if (info.part) {
          wanted = std::min(info.part->end(source.ranges()) * source.shard_images, wanted) -
                   info.part->first(source.ranges()) * source.shard_images;
        }
        if (source.images + skipped[d] != wanted) {
          Fail(kManifestFile, "{} pictures of {} and {} that were skipped do not make {}",
               source.images, source.root, skipped[d], wanted);
        }
      });
    }
  }

  void CheckCertificates(const StatisticsSums& sums) {
    const StoreInfo& info = manifest_->info;
    if (sums.certificate_max() != info.certificate.max ||
        sums.certificate_mean() != info.certificate.mean) {
      Fail(kManifestFile, "a certificate of {} at most and {} on average, {} has {} and {}",
           info.certificate.max, info.certificate.mean, kStatisticsFile, sums.certificate_max(),
           sums.certificate_mean());
    }
    CheckCertificate(sums.certificate_max(), info.type, (directory_ / kManifestFile).string());
  }

  bool Fit(const Basis& basis, const StatisticsSums& sums) const {
    return sums.layers() == basis.layers() && sums.heads() == basis.num_heads() &&
           sums.factor_width() == basis.factor_width() &&
           sums.embed_width() == basis.embed_width() && sums.slices() == manifest_->info.slices;
  }

  void CheckSums(const Basis& basis, const StatisticsSums& sums) {
    const StoreInfo& info = manifest_->info;
    if (!Fit(basis, sums)) {
      Fail(kStatisticsFile, "its shapes do not fit those of {}", kBasisFile);
    }
    if (sums.images() != info.images) {
      Fail(kStatisticsFile, "{} pictures, the manifest says {}", sums.images(), info.images);
    }
    Statistics(sums, basis);  // throws for sums that no pictures have
  }

  void CheckShards(const Basis& basis, const std::optional<StatisticsSums>& sums) {
    // Made again only to be compared: then the file holds as much, and a manifest's claim of slices
    // or a basis's of widths takes no memory.
    std::optional<StatisticsSums> again;
    if (sums && Fit(basis, *sums)) {
      again.emplace(basis.sizes(), manifest_->info.slices);
    }
    std::map<Index, std::set<std::string>> paths;  // by set
    Index done = 0;
    bool whole = true;
    for (const ShardInfo& shard : manifest_->shards) {
      std::optional<FactorBlock> block;
      std::vector<Index> slices;
      Check(shard.file, [&] {
        CheckHash(directory_ / shard.file, shard.checksum);
        const SafetensorsFile file(directory_ / shard.file);
        FactorBlock read = ReadShardFile(file, basis, shard.images);
        if (file.tensors().size() != 5) {
          Fail(shard.file, "has {} tensors, a shard has 5", file.tensors().size());
        }
        CheckTypes(file, shard);
        CheckValues(read, shard);
        block = std::move(read);
      });
      Check(shard.items_file, [&] {
        for (const Item& item :
             ReadItemsFile(directory_ / shard.items_file, shard.images, shard.items_checksum)) {
          if (!paths[shard.source].insert(item.path).second) {
            Fail(shard.items_file, "'{}' is in the store twice", Printable(item.path));
          }
          slices.push_back(SliceOf(item.path, manifest_->info.slices));
        }
      });
      if (block && static_cast<Index>(slices.size()) == shard.images) {
        if (again) {
          Check(shard.file, [&] { again->Add(*block, slices, basis, options_.threads); });
        }
      } else {
        whole = false;
      }
      if (options_.progress) options_.progress(done += shard.images, manifest_->info.images);
    }
    if (!whole || !again) return;
    Check(kStatisticsFile, [&] {
      const std::string difference = again->Difference(*sums);
      if (!difference.empty()) {
        Fail(kStatisticsFile, "'{}' is not what the shards add up to", difference);
      }
    });
  }

  void CheckTypes(const SafetensorsFile& file, const ShardInfo& shard) const {
    for (const auto& [name, entry] : file.tensors()) {
      const bool half = manifest_->info.type == StoreType::kF16 && name != "ln";
      const DataType wanted = half ? DataType::kF16 : DataType::kF32;
      if (entry.type != wanted) {
        Fail(shard.file, "'{}' is {}, the manifest says {}", name, cliplens::NameOf(entry.type),
             cliplens::NameOf(wanted));
      }
    }
  }

  void CheckValues(const FactorBlock& block, const ShardInfo& shard) const {
    if (!AllFinite(block.head_z.flat()) || !AllFinite(block.ln.flat()) ||
        !AllFinite(block.mlp.flat()) || !AllFinite(block.cls_attn.flat()) ||
        !AllFinite(block.embedding.flat())) {
      Fail(shard.file, "a number of it is not finite");
    }
    const double tolerance = manifest_->info.type == StoreType::kF16 ? 1e-2 : 1e-4;
    for (Index b = 0; b < block.images(); ++b) {
      double length = 0;
      for (const float v : block.embedding.row(b)) length += double{v} * v;
      if (std::abs(std::sqrt(length) - 1) > tolerance || block.ln(b, 1) <= 0 ||
          block.ln(b, 2) <= 0) {
        Fail(shard.file, "picture {} has an embedding of length {}, σ {} and n {}", b,
             std::sqrt(length), block.ln(b, 1), block.ln(b, 2));
      }
    }
  }

  void CheckModel(const std::optional<Basis>& basis) {
    const ClipModel& model = *options_.model;
    const StoreInfo& info = manifest_->info;
    const auto differs = [&](const std::string& what) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: {}; name the model that made the store, or decompose again",
                  directory_.string(), what);
    };
    Check("", [&] {
      if (model.fingerprint() != info.fingerprint) {
        differs(fmt::format("made by model {} with fingerprint {}, {} has {}", info.model_name,
                            info.fingerprint, model.path().string(), model.fingerprint()));
      }
      const std::string difference = JsonDifference(info.model_config, ToJson(model.config()));
      if (!difference.empty()) {
        differs(fmt::format("the configuration of its model differs from that of {}: {}",
                            model.path().string(), difference));
      }
      if (!basis) return;
      const Basis made = MakeBasis(model.image_readout(), options_.threads);
      if (made.heads.shape() != basis->heads.shape()) differs("its basis has another shape");
      float largest = 0;
      float difference_of_basis = 0;
      for (std::size_t i = 0; i < made.heads.flat().size(); ++i) {
        const float wanted = made.heads.flat()[i];
        largest = std::max(largest, std::abs(wanted));
        difference_of_basis =
            std::max(difference_of_basis, std::abs(wanted - basis->heads.flat()[i]));
      }
      // Rounding to fp32; products may be summed in another order on another processor.
      if (difference_of_basis > 1e-6f * largest) {
        differs(fmt::format("its basis differs from the model's by {}", difference_of_basis));
      }
    });
  }

  fs::path directory_;
  const VerifyOptions& options_;
  const Manifest* manifest_ = nullptr;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<std::string> StrayFiles(const fs::path& directory) {
  std::vector<std::string> strays;
  std::error_code ignored;  // VerifyStore tells
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!IsStoreFile(name)) strays.push_back(NameText(name));
  }
  std::ranges::sort(strays);
  return strays;
}

std::vector<Problem> VerifyStore(const fs::path& directory, const VerifyOptions& options) {
  return Verifier(directory, options).Verify();
}

}  // namespace cliplens
