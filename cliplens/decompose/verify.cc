#include "cliplens/decompose/verify.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "cliplens/base/finite.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/statistics.h"
#include "cliplens/decompose/store.h"
#include "cliplens/decompose/store_checks.h"
#include "cliplens/io/file_name.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

class Verifier {
 public:
  Verifier(const Manifest& manifest, StoreChecks& checks, const VerifyOptions& options)
      : manifest_(manifest), checks_(checks), directory_(checks.directory()), options_(options) {}

  void Verify() {
    checks_.CheckNames();
    checks_.CheckCounts();
    std::optional<Basis> basis;
    checks_.Check(kBasisFile, [&] {
      CheckHash(directory_ / kBasisFile, manifest_.basis_checksum);
      Basis read = ReadBasis(directory_ / kBasisFile, manifest_.info.factor_constants);
      if (!AllFinite(read.heads.flat())) checks_.Fail(kBasisFile, "a number of it is not finite");
      if (read.components().level() != manifest_.info.level) {
        checks_.Fail(kBasisFile, "is at the level '{}', the manifest says '{}'",
                     NameOf(read.components().level()), NameOf(manifest_.info.level));
      }
      basis = std::move(read);
    });
    std::optional<StatisticsSums> sums;
    checks_.Check(kStatisticsFile, [&] {
      CheckHash(directory_ / kStatisticsFile, manifest_.statistics_checksum);
      sums = StatisticsSums::Read(directory_ / kStatisticsFile);
    });
    if (sums) checks_.Check(kManifestFile, [&] { CheckCertificates(*sums); });
    if (basis && sums) checks_.Check(kStatisticsFile, [&] { CheckSums(*basis, *sums); });
    if (basis && !manifest_.info.stats_only) CheckShards(*basis, sums);
    if (options_.model != nullptr) CheckModel(basis);
  }

 private:
  void CheckCertificates(const StatisticsSums& sums) {
    const StoreInfo& info = manifest_.info;
    if (sums.certificate_max() != info.certificate.max ||
        sums.certificate_mean() != info.certificate.mean) {
      checks_.Fail(kManifestFile, "a certificate of {} at most and {} on average, {} has {} and {}",
                   info.certificate.max, info.certificate.mean, kStatisticsFile,
                   sums.certificate_max(), sums.certificate_mean());
    }
    CheckCertificate(sums.certificate_max(), info.type, (directory_ / kManifestFile).string());
  }

  bool Fit(const Basis& basis, const StatisticsSums& sums) const {
    return sums.components() == basis.components() && sums.factor_width() == basis.factor_width() &&
           sums.embed_width() == basis.embed_width() && sums.slices() == manifest_.info.slices;
  }

  void CheckSums(const Basis& basis, const StatisticsSums& sums) {
    const StoreInfo& info = manifest_.info;
    if (!Fit(basis, sums)) {
      checks_.Fail(kStatisticsFile, "its shapes do not fit those of {}", kBasisFile);
    }
    if (sums.images() != info.images) {
      checks_.Fail(kStatisticsFile, "{} pictures, the manifest says {}", sums.images(),
                   info.images);
    }
    Statistics(sums, basis);  // throws for sums that no pictures have
  }

  void CheckShards(const Basis& basis, const std::optional<StatisticsSums>& sums) {
    // Made again only to be compared: then the file holds as much, and a manifest's claim of slices
    // or a basis's of widths takes no memory.
    std::optional<StatisticsSums> again;
    if (sums && Fit(basis, *sums)) {
      again.emplace(basis.sizes(), manifest_.info.slices);
    }
    Index done = 0;
    bool whole = true;
    for (const ShardInfo& shard : manifest_.shards) {
      std::optional<FactorBlock> block;
      std::vector<Index> slices;
      checks_.Check(shard.file, [&] {
        CheckHash(directory_ / shard.file, shard.checksum);
        const SafetensorsFile file(directory_ / shard.file);
        FactorBlock read = ReadShardFile(file, basis, shard.images);
        if (file.tensors().size() != 5) {
          checks_.Fail(shard.file, "has {} tensors, a shard has 5", file.tensors().size());
        }
        CheckTypes(file, shard);
        CheckValues(read, shard);
        block = std::move(read);
      });
      for (const Item& item : checks_.CheckItems(shard)) {
        slices.push_back(SliceOf(item.path, manifest_.info.slices));
      }
      if (block && static_cast<Index>(slices.size()) == shard.images) {
        if (again) {
          checks_.Check(shard.file, [&] { again->Add(*block, slices, basis, options_.threads); });
        }
      } else {
        whole = false;
      }
      if (options_.progress) options_.progress(done += shard.images, manifest_.info.images);
    }
    if (!whole || !again) return;
    checks_.Check(kStatisticsFile, [&] {
      const std::string difference = again->Difference(*sums);
      if (!difference.empty()) {
        checks_.Fail(kStatisticsFile, "'{}' is not what the shards add up to", difference);
      }
    });
  }

  void CheckTypes(const SafetensorsFile& file, const ShardInfo& shard) const {
    for (const auto& [name, entry] : file.tensors()) {
      const bool half = manifest_.info.type == StoreType::kF16 && name != "ln";
      const DataType wanted = half ? DataType::kF16 : DataType::kF32;
      if (entry.type != wanted) {
        checks_.Fail(shard.file, "'{}' is {}, the manifest says {}", name,
                     cliplens::NameOf(entry.type), cliplens::NameOf(wanted));
      }
    }
  }

  void CheckValues(const FactorBlock& block, const ShardInfo& shard) const {
    if (!AllFinite(block.head_z.flat()) || !AllFinite(block.ln.flat()) ||
        !AllFinite(block.mlp.flat()) || !AllFinite(block.cls_attn.flat()) ||
        !AllFinite(block.embedding.flat())) {
      checks_.Fail(shard.file, "a number of it is not finite");
    }
    const double tolerance = manifest_.info.type == StoreType::kF16 ? 1e-2 : 1e-4;
    for (Index b = 0; b < block.images(); ++b) {
      double length = 0;
      for (const float v : block.embedding.row(b)) length += double{v} * v;
      if (std::abs(std::sqrt(length) - 1) > tolerance || block.ln(b, 1) <= 0 ||
          block.ln(b, 2) <= 0) {
        checks_.Fail(shard.file, "picture {} has an embedding of length {}, σ {} and n {}", b,
                     std::sqrt(length), block.ln(b, 1), block.ln(b, 2));
      }
    }
  }

  void CheckModel(const std::optional<Basis>& basis) {
    const ClipModel& model = *options_.model;
    checks_.Check("", [&] {
      checks_.CompareModel(model);
      if (!basis) return;
      const Basis made = MakeBasis(model.image_readout(), options_.threads);
      if (made.heads.shape() != basis->heads.shape())
        checks_.FailModel("its basis has another shape");
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
        checks_.FailModel(
            fmt::format("its basis differs from the model's by {}", difference_of_basis));
      }
    });
  }

  const Manifest& manifest_;
  StoreChecks& checks_;
  const fs::path& directory_;
  const VerifyOptions& options_;
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
  std::optional<Manifest> manifest;
  try {
    manifest = ReadManifest(directory);
  } catch (const Error& error) {
    return {{error.code(), kManifestFile, error.what()}};
  }
  StoreChecks checks(directory, *manifest);
  Verifier(*manifest, checks, options).Verify();
  return std::move(checks.problems());
}

}  // namespace cliplens
