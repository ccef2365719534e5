#include "cliplens/app/description.h"

#include <algorithm>
#include <utility>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/app/shipped.h"
#include "cliplens/app/texts.h"
#include "cliplens/base/error.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/decompose/store_edit.h"
#include "cliplens/model/picture_loop.h"

namespace cliplens {
namespace {

Store OpenStoreOf(const ClipModel& model, const std::string& path) {
  Store store = Store::Open(path);
  if (store.info().fingerprint != model.fingerprint()) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: it was made by {} (fingerprint {}), not by {} (fingerprint {})", path,
                store.info().model_name, store.info().fingerprint, model.name(),
                model.fingerprint());
  }
  return store;
}

// An edit that takes the components out: what it changes is what they contribute.
Edit Without(const std::vector<ComponentId>& components, const Components& sizes, Index width) {
  Edit edit;
  edit.layers = sizes.layers();
  edit.heads = sizes.heads_a_layer();
  edit.pool_mlp = sizes.has_pool_mlp();
  edit.level = sizes.level();
  edit.embed_width = width;
  for (const ComponentId& id : components) {
    edit.components.push_back({.target = id, .mean = false, .scale = 0, .constant = {}});
  }
  return edit;
}

// The mean over all pictures of a store, from its statistics.
Vector MeanOf(const Store& store, const std::vector<ComponentId>& components) {
  if (components.empty()) return store.statistics().Total(store.basis()).embedding.mean;
  const ContributionMeans means(store.basis(), store.statistics());
  Vector sum = Vector::Zero(store.basis().embed_width());
  for (const ComponentId& id : components) sum += means.Of(id);
  return sum;
}

// Σ over pictures of a store.
Vector SumOver(const Store& store, const std::vector<Index>& pictures,
               const std::vector<ComponentId>& components) {
  const Basis& basis = store.basis();
  const StoreEdit without(basis, Without(components, basis.components(), basis.embed_width()));
  Vector sum = Vector::Zero(basis.embed_width());
  ForShardsWith(store, pictures, [&](Index s, Index first, std::span<const Index> places) {
    if (components.empty()) {
      const Array<float, 2> rows = store.ReadEmbeddings(s);
      for (const Index i : places) {
        sum += AsEigen(rows.view()).row(At(pictures, i) - first).cast<double>();
      }
      return;
    }
    const FactorBlock block = store.ReadShard(s);
    for (const Index i : places) sum -= without.Change(block, At(pictures, i) - first);
  });
  return sum;
}

DescribedPictures OfStore(const Store& store, const PictureSetChoice& choice,
                          const std::vector<ComponentId>& components) {
  DescribedPictures found{.place = choice.store,
                          .only = choice.only,
                          .item = choice.item,
                          .images = store.info().images,
                          .mean = {}};
  if (choice.only.empty() && !choice.item) {
    found.mean = MeanOf(store, components);
    return found;
  }
  const std::vector<Item> items = store.ReadItems();  // none where it has statistics only
  std::vector<Index> wanted;
  if (choice.item) {
    if (*choice.item < 0 || *choice.item >= std::ssize(items)) {
      throw Error(ErrorCode::kNotFound, "{}: item {}; it has {} pictures, counted from 0",
                  choice.store, *choice.item, items.size());
    }
    wanted = {*choice.item};
  } else {
    wanted = PicturesWith(items, choice.only, choice.store);
  }
  found.images = std::ssize(wanted);
  found.mean = SumOver(store, wanted, components) / static_cast<double>(found.images);
  return found;
}

// Contributions [B, E] of the pictures that can be read, in their order.
EmbeddedImages ContributionsOf(const ClipModel& model, const ImageSet& set, const Edit& without,
                               OnError on_error, const Work& work) {
  const ModelEdit edit(model.image_readout(), without);
  Array<float, 2> rows({set.size(), model.config().embed_width});
  std::vector<char> read(ToSize(set.size()));
  PictureErrors errors(on_error);
  ProgressCount progress(work.Stage("pictures"), set.size());
  PictureLoop loop(model, set, {.captures = edit.captures(), .threads = work.threads});
  loop.Run(0, set.size(), errors, progress, [&](const PictureBatch& batch) {
    ModelEdit::Scratch scratch;
    for (Index k = 0; k < batch.size(); ++k) {
      // Taken out of nothing, what is left is the negative of what was there.
      const std::span<float> row = rows.row(At(batch.index, k));
      edit.Apply(At(batch.captures, k), row, scratch);
      for (float& value : row) value = -value;
      At(read, At(batch.index, k)) = 1;
    }
  });
  errors.CheckNotAll(set.size(), set.root());
  EmbeddedImages found;
  for (Index i = 0; i < set.size(); ++i) {
    if (At(read, i)) found.index.push_back(i);
  }
  found.rows = Array<float, 2>({std::ssize(found.index), rows.dim(1)});
  for (Index i = 0; i < found.rows.dim(0); ++i) {
    std::ranges::copy(rows.row(At(found.index, i)), found.rows.row(i).begin());
  }
  found.skipped = errors.skipped();
  found.incomplete = errors.incomplete();
  found.oriented = errors.oriented();
  return found;
}

DescribedPictures OfImages(const ClipModel& model, const PictureSetChoice& choice,
                           const std::vector<ComponentId>& components, OnError on_error,
                           const Work& work) {
  if (choice.item) {
    throw Error(ErrorCode::kInvalidArgument, "item {}: a number names a picture of a store",
                *choice.item);
  }
  const std::unique_ptr<ImageSet> set = PartOf(OpenImages(choice.images, on_error), choice.only);
  const EmbeddedImages embedded =
      components.empty()
          ? EmbedReadableImages(model, *set, on_error, work.threads, work.Stage("pictures"))
          : ContributionsOf(
                model, *set,
                Without(components, model.image_readout().components(), model.config().embed_width),
                on_error, work);
  Vector sum = Vector::Zero(model.config().embed_width);
  const Index images = embedded.rows.dim(0);
  for (Index i = 0; i < images; ++i) sum += AsEigen(embedded.rows.view()).row(i).cast<double>();
  return {.place = choice.images.images,
          .only = choice.only,
          .item = {},
          .images = images,
          .mean = sum / static_cast<double>(images),
          .skipped = embedded.skipped,
          .incomplete = embedded.incomplete,
          .left_out = set->left_out(),
          .set_size = set->size(),
          .oriented = embedded.oriented};
}

DescribedPictures PicturesOf(const ClipModel& model, const PictureSetChoice& choice,
                             const std::vector<ComponentId>& components, OnError on_error,
                             const Work& work) {
  if (choice.store.empty()) return OfImages(model, choice, components, on_error, work);
  return OfStore(OpenStoreOf(model, choice.store), choice, components);
}

// The pictures that are taken off; nothing where none were chosen.
std::optional<PictureSetChoice> MinusOf(const DescriptionChoice& choice) {
  if (choice.minus.empty() && choice.minus_only.empty()) return std::nullopt;
  PictureSetChoice minus = choice.pictures;
  minus.only = choice.minus_only;
  minus.item.reset();
  if (!choice.minus.empty()) {
    const bool is_store = IsStore(choice.minus);
    minus.store = is_store ? choice.minus : "";
    minus.images = {.images = is_store ? "" : choice.minus,
                    .exif_orientation = choice.pictures.images.exif_orientation};
  }
  return minus;
}

}  // namespace

const char* NameOf(Description::Centring centring) {
  switch (centring) {
    case Description::Centring::kMeans:
      return "means";
    case Description::Centring::kDifference:
      return "difference";
    case Description::Centring::kNone:
      break;
  }
  return "none";
}

Description Describe(const ClipModel& model, const DescriptionChoice& choice, const Work& work) {
  Description found{.model_name = model.name(),
                    .fingerprint = model.fingerprint(),
                    .pool = ReadTextPool(TextsPath(choice.texts), work.on_blank),
                    .components = {},
                    .pictures = {},
                    .minus = {},
                    .means = choice.means,
                    .words = {}};
  if (!choice.components.empty()) {
    found.components = ParseComponents(choice.components, model.image_readout().components());
  }
  const std::optional<PictureSetChoice> minus = MinusOf(choice);
  if (minus && !choice.means.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "means {}: they cancel in the difference of two sides; leave them out",
                choice.means);
  }
  const bool is_part = !choice.pictures.only.empty() || choice.pictures.item;
  if (!minus && found.means.empty() && is_part) found.means = choice.pictures.store;
  found.pictures = PicturesOf(model, choice.pictures, found.components, choice.on_error, work);
  Vector described = found.pictures.mean;
  double scale = described.norm();
  if (minus) {
    found.minus = PicturesOf(model, *minus, found.components, choice.on_error, work);
    found.centring = Description::Centring::kDifference;
    described -= found.minus->mean;
  } else if (!found.means.empty()) {
    const Store means = OpenStoreOf(model, found.means);
    found.means_images = means.info().images;
    found.centring = Description::Centring::kMeans;
    described -= MeanOf(means, found.components);
  }
  const TextAtoms atoms = AtomsOf(RowsOfPool(model, found.pool, choice.truncate, work),
                                  found.centring == Description::Centring::kNone);
  found.length = described.norm();
  const char* what = minus ? "the difference of the two sides' means"
                     : found.centring == Description::Centring::kMeans
                         ? "what is left of the pictures when the mean is subtracted"
                         : "the mean of the pictures";
  found.words = LassoWords(atoms, DirectionOf(described, atoms, scale, what), choice.count);
  return found;
}

}  // namespace cliplens
