#include "cliplens/app/texts.h"

namespace cliplens {

Array<float, 2> RowsOfPool(const RowModel& model, const TextPool& pool, bool truncate,
                           const Work& work) {
  return CachedTexts(
      model, pool.texts,
      {.truncate = truncate, .threads = work.threads, .progress = work.Stage("texts")});
}

ClassTexts ReadClasses(const ClassChoice& choice, const OnBlankLines& on_blank) {
  return {ReadClassFile(choice.classes, on_blank), ReadTemplates(choice.templates, on_blank),
          choice.truncate};
}

Classifier EmbedClasses(const RowModel& model, const ClassTexts& classes, const Work& work) {
  return CachedClassifier(
      model, classes.file, classes.templates,
      {.truncate = classes.truncate, .threads = work.threads, .progress = work.Stage("classes")});
}

Classifier OpenClassifier(const RowModel& model, const ClassChoice& choice, const Work& work) {
  return EmbedClasses(model, ReadClasses(choice, work.on_blank), work);
}

}  // namespace cliplens
