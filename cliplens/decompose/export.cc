#include "cliplens/decompose/export.h"

#include <algorithm>
#include <optional>

#include "cliplens/base/error.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/store_edit.h"
#include "cliplens/io/file.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/partial_directory.h"

namespace cliplens {

void ExportNpy(const Store& store, const std::filesystem::path& directory, const Edit* edit,
               bool normalize) {
  if (store.info().stats_only) {
    throw Error(ErrorCode::kPrecondition,
                "{}: this store has statistics only, this needs the pictures' factors; decompose "
                "without --stats-only",
                store.directory().string());
  }
  std::optional<StoreEdit> edited;
  if (edit != nullptr) edited.emplace(store.basis(), *edit);
  const Basis& basis = store.basis();
  const Index layers = basis.layers();
  const Index heads = basis.num_heads();
  const Index residual = basis.components().num_residual();
  const Index width = basis.embed_width();
  const Index images = store.info().images;
  PartialDirectory out(directory);
  {
    NpyWriter attn(out.path() / "attn.npy", {images, layers, heads, width});
    NpyWriter mlp(out.path() / "mlp.npy", {images, residual, width});
    std::optional<NpyWriter> cls;
    if (!edited)
      cls.emplace(out.path() / "cls_attn.npy", std::vector<Index>{images, layers, width});
    NpyWriter embedding(out.path() / "embedding.npy", {images, width});
    std::vector<Matrix> bases;
    const Index bases_needed = basis.is_identity() ? 0 : layers * heads;
    bases.reserve(ToSize(bases_needed));
    for (Index i = 0; i < bases_needed; ++i) {
      bases.push_back(AsEigen(basis.at(basis.components().HeadAt(i))).cast<double>());
    }
    std::vector<double> factor(ToSize(basis.factor_width()));
    std::vector<float> row(ToSize(layers * heads * width));
    Array<float, 2> mlps({residual, width});
    for (Index s = 0; s < store.num_shards(); ++s) {
      FactorBlock block = store.ReadShard(s);
      for (Index b = 0; b < block.images(); ++b) {
        const ReadoutScale scale = ScaleOf(block.ln.row(b));
        for (Index i = 0; i < layers * heads; ++i) {
          if (basis.is_identity()) {  // a factor is the contribution
            std::ranges::copy(block.HeadRows(basis.components().HeadAt(i)).row(b),
                              row.begin() + i * width);
            continue;
          }
          basis.layout().Fill(block.HeadRows(basis.components().HeadAt(i)).row(b), scale, factor);
          const Eigen::Map<const Vector> u(factor.data(), basis.factor_width());
          const Vector c = At(bases, i).transpose() * u;
          for (Index k = 0; k < width; ++k) {
            At(row, i * width + k) = static_cast<float>(c[k]);
          }
        }
        for (Index j = 0; j < residual; ++j) {
          std::ranges::copy(block.mlp[j].row(b), mlps.row(j).data());
        }
        if (edited) {
          edited->EditContributions({row.data(), {layers, heads, width}}, mlps);
          edited->EditRow(block, b, normalize, block.embedding.row(b));
        }
        attn.Append(row);
        mlp.Append(mlps.flat());
        for (Index j = 0; cls && j < layers; ++j) cls->Append(block.cls_attn[j].row(b));
      }
      embedding.Append(block.embedding.flat());
    }
    attn.Finish();
    mlp.Finish();
    if (cls) cls->Finish();
    embedding.Finish();
  }
  std::string lines;
  for (const Item& item : store.ReadItems()) lines += ItemLine(item);
  WriteFileAtomically(out.path() / "items.jsonl", lines);
  if (edited) WriteEditTensors(out.path() / "edit.safetensors", *edited);
  out.Commit();
}

}  // namespace cliplens
