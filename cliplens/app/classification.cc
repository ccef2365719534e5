#include "cliplens/app/classification.h"

#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/dataset/labels.h"

namespace cliplens {

ClassifyReport ClassifyPictures(const ClipModel& model, const ImageSet& set,
                                const ClassifyChoice& choice, const ChosenEdit& edit,
                                const Work& work) {
  const ClassTexts classes = ReadClasses(choice.classes, work.on_blank);
  const Array<float, 2> classifier = EmbedClasses(model, classes, work).rows;
  EmbeddedImages embedded = EmbedReadableImages(model, set, choice.on_error, work.threads,
                                                work.Stage("pictures"), edit.ForEmbedding());
  ClassifyReport report{.model_name = model.name(),
                        .precision = NameOf(model.precision()),
                        .sigmoid = model.logits().bias.has_value(),
                        .classes = classes.file.names,
                        .templates = std::ssize(classes.templates),
                        .pictures = {},
                        .skipped = std::move(embedded.skipped),
                        .incomplete = std::move(embedded.incomplete),
                        .left_out = set.left_out(),
                        .oriented = embedded.oriented};
  const ClassLabels labels(classes.file);
  for (Index i = 0; i < embedded.rows.dim(0); ++i) {
    const Item item = set.item(At(embedded.index, i));
    ClassifyReport::Picture picture{
        item.path, LabelOf(item, choice.classes.label),
        TopClasses(embedded.rows.row(i), classifier, model.logits(), choice.count)};
    if (picture.label) {
      const Index index = labels.IndexOf(*picture.label);
      report.foreign += index < 0 ? 1 : 0;
      report.labelled += index < 0 ? 0 : 1;
      report.correct += index >= 0 && index == picture.top.front().index ? 1 : 0;
    }
    report.pictures.push_back(std::move(picture));
  }
  if (!choice.classes.label.empty() && report.labelled + report.foreign == 0) {
    ThrowNoAttribute(set.root(), choice.classes.label);
  }
  return report;
}

}  // namespace cliplens
