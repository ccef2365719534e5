#include "cliplens/decompose/store.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/io/file.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {
namespace fs = std::filesystem;

DataSource DescribeSet(const ImageSet& set, Index shard_images) {
  DataSource source;
  source.kind = set.kind();
  source.root = fs::weakly_canonical(set.root()).string();
  source.set_images = set.size();
  source.shard_images = shard_images;
  Hasher hasher;
  for (Index i = 0; i < set.size(); ++i) hasher.Update(set.path(i) + "\n");
  source.set_checksum = hasher.Digest();
  return source;
}

struct Store::Checked {
  std::mutex mutex;
  std::vector<bool> shards;
};

Store Store::Open(const fs::path& directory) {
  Manifest manifest = ReadManifest(directory);
  Store store;
  store.directory_ = directory;
  store.info_ = std::move(manifest.info);
  store.shards_ = std::move(manifest.shards);
  store.checked_ = std::make_shared<Checked>();
  store.checked_->shards.resize(store.shards_.size());
  const StoreInfo& info = store.info_;
  CheckHash(directory / kBasisFile, manifest.basis_checksum);
  store.basis_ = ReadBasis(directory / kBasisFile);
  CheckHash(directory / kStatisticsFile, manifest.statistics_checksum);
  StatisticsSums sums = store.ReadSums();
  const Basis& b = store.basis_;
  if (sums.layers() != b.layers() || sums.heads() != b.num_heads() ||
      sums.factor_width() != b.factor_width() || sums.embed_width() != b.embed_width() ||
      sums.images() != info.images || sums.slices() != info.slices) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} and {} do not belong together or to its {} pictures; decompose again",
                (directory / kManifestFile).string(), kBasisFile, kStatisticsFile, info.images);
  }
  try {
    store.statistics_ = Statistics(std::move(sums), b);
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorruptData, "{}: {}", (directory / kStatisticsFile).string(),
                error.what());
  }
  return store;
}

StatisticsSums Store::ReadSums() const {
  return StatisticsSums::Read(directory_ / kStatisticsFile);
}

SafetensorsFile Store::OpenShard(Index s) const {
  const fs::path path = directory_ / shard(s).file;
  const std::lock_guard lock(checked_->mutex);
  if (!checked_->shards[static_cast<std::size_t>(s)]) {
    CheckHash(path, shard(s).checksum);
    checked_->shards[static_cast<std::size_t>(s)] = true;
  }
  return SafetensorsFile(path);
}

namespace {

void NeedFactors(const StoreInfo& info, const fs::path& directory) {
  if (info.stats_only) {
    throw Error(ErrorCode::kPrecondition,
                "{}: this store has statistics only, this needs the pictures' factors; decompose "
                "without --stats-only",
                directory.string());
  }
}

}  // namespace

FactorBlock Store::ReadShard(Index s) const {
  NeedFactors(info_, directory_);
  return ReadShardFile(OpenShard(s), basis_, shard(s).images);
}

std::vector<float> Store::ReadHeadOfShard(HeadId id, Index s) const {
  NeedFactors(info_, directory_);
  const Index width = basis_.head_width();
  const SafetensorsFile file = OpenShard(s);  // one head of it is one contiguous read
  const TensorEntry& entry = file.at("head_z");
  const Index images = shard(s).images;
  const std::vector<Index> expected = {basis_.layers(), basis_.num_heads(), images, width};
  if (entry.shape != expected) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor 'head_z' has shape {}, the manifest asks for {}; decompose again",
                file.path().string(), ShapeText(entry.shape), ShapeText(expected));
  }
  const Index bytes = images * width * SizeOf(entry.type);
  return ReadAsFloat({entry.name,
                      entry.type,
                      {images, width},
                      entry.bytes.subspan(static_cast<std::size_t>(
                                              (id.layer * basis_.num_heads() + id.head) * bytes),
                                          static_cast<std::size_t>(bytes))});
}

std::vector<float> Store::ReadRows(const char* name, Index width, Index s) const {
  NeedFactors(info_, directory_);
  const SafetensorsFile file = OpenShard(s);
  const TensorEntry& entry = file.at(name);
  const std::vector<Index> expected = {shard(s).images, width};
  if (entry.shape != expected) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' has shape {}, the manifest asks for {}; decompose again",
                file.path().string(), name, ShapeText(entry.shape), ShapeText(expected));
  }
  return ReadAsFloat(entry);
}

Array<float, 2> Store::AllShards(Index width,
                                 const std::function<std::vector<float>(Index shard)>& read) const {
  NeedFactors(info_, directory_);
  std::vector<float> all;  // grows by what the shards hold, not by what the manifest claims
  for (Index s = 0; s < num_shards(); ++s) {
    const std::vector<float> part = read(s);
    all.insert(all.end(), part.begin(), part.end());
  }
  return {{info_.images, width}, std::move(all)};
}

Array<float, 2> Store::ReadHead(HeadId id) const {
  return AllShards(basis_.head_width(), [&](Index s) { return ReadHeadOfShard(id, s); });
}

Array<float, 2> Store::ReadLn() const {
  return AllShards(3, [&](Index s) { return ReadRows("ln", 3, s); });
}

Array<float, 2> Store::ReadEmbeddings() const {
  const Index width = basis_.embed_width();
  return AllShards(width, [&](Index s) { return ReadRows("embedding", width, s); });
}

Array<float, 2> Store::ReadHead(HeadId id, Index s) const {
  return {{shard(s).images, basis_.head_width()}, ReadHeadOfShard(id, s)};
}

Array<float, 2> Store::ReadLn(Index s) const {
  return {{shard(s).images, 3}, ReadRows("ln", 3, s)};
}

Array<float, 2> Store::ReadEmbeddings(Index s) const {
  const Index width = basis_.embed_width();
  return {{shard(s).images, width}, ReadRows("embedding", width, s)};
}

std::vector<Item> Store::ReadItems() const {
  NeedFactors(info_, directory_);
  std::vector<Item> items;
  for (Index s = 0; s < num_shards(); ++s) {
    std::vector<Item> more = ReadItems(s);
    std::ranges::move(more, std::back_inserter(items));
  }
  return items;
}

std::vector<Item> Store::ReadItems(Index s) const {
  return ReadItemsFile(directory_ / shard(s).items_file, shard(s).images, shard(s).items_checksum);
}

void ExportNpy(const Store& store, const fs::path& directory) {
  NeedFactors(store.info(), store.directory());
  const Basis& basis = store.basis();
  const Index layers = basis.layers();
  const Index heads = basis.num_heads();
  const Index width = basis.embed_width();
  const Index images = store.info().images;
  PartialDirectory out(directory);
  {
    NpyWriter attn(out.path() / "attn.npy", {images, layers, heads, width});
    NpyWriter mlp(out.path() / "mlp.npy", {images, layers + 1, width});
    NpyWriter cls(out.path() / "cls_attn.npy", {images, layers, width});
    NpyWriter embedding(out.path() / "embedding.npy", {images, width});
    std::vector<Matrix> bases;
    for (Index l = 0; l < layers; ++l) {
      for (Index h = 0; h < heads; ++h)
        bases.push_back(AsEigen(basis.heads.view()[l][h]).cast<double>());
    }
    std::vector<double> factor(static_cast<std::size_t>(basis.factor_width()));
    std::vector<float> row(static_cast<std::size_t>(layers * heads * width));
    for (Index s = 0; s < store.num_shards(); ++s) {
      const FactorBlock block = store.ReadShard(s);
      for (Index b = 0; b < block.images(); ++b) {
        const std::span<const float> ln = block.ln.row(b);
        for (Index i = 0; i < layers * heads; ++i) {
          FillFactor(block.head_z.view()[i / heads][i % heads].row(b), ln[0], ln[1], ln[2], factor);
          const Eigen::Map<const Vector> u(factor.data(), basis.factor_width());
          const Vector c = bases[static_cast<std::size_t>(i)].transpose() * u;
          for (Index k = 0; k < width; ++k) {
            row[static_cast<std::size_t>(i * width + k)] = static_cast<float>(c[k]);
          }
        }
        attn.Append(row);
        for (Index j = 0; j <= layers; ++j) mlp.Append(block.mlp[j].row(b));
        for (Index j = 0; j < layers; ++j) cls.Append(block.cls_attn[j].row(b));
      }
      embedding.Append(block.embedding.flat());
    }
    attn.Finish();
    mlp.Finish();
    cls.Finish();
    embedding.Finish();
  }
  std::string lines;
  for (const Item& item : store.ReadItems()) lines += ItemLine(item);
  WriteFileAtomically(out.path() / "items.jsonl", lines);
  out.Commit();
}

}  // namespace cliplens
