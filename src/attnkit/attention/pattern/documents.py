"""Documents: packed texts that do not see one another."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.pattern.base import Pattern
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Documents(Pattern):
    """Query and key meet where their document ids are equal; the ids travel in `Where`.

    Picture: Documents() with documents 0 0 0 1 1 2 2 2
    ```
    ###.....
    ###.....
    ###.....
    ...##...
    ...##...
    .....###
    .....###
    .....###
    ```

    Raises: ValueError where `Where` holds no document ids.
    Source: Raffel et al. (2020), section 3.5.2 (packing); Krell et al. (2021), for the mask.
    Cost: the squares of the documents' lengths.
    """

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """Equal ids."""
        same = where.same_document
        if same is None:
            raise ValueError(
                "Documents needs the document of each query and key and got none; "
                "pass query_document and key_document to Where.of"
            )
        return same

    @property
    def sees_itself(self) -> bool:
        """True by definition."""
        return True
