package console

import "net/http"

// A Table is one table by its names; the table API says what is in it.
type Table struct {
	Name      string `json:"name"`
	LogicalID string `json:"logicalId,omitempty"` // "" when no template declares it
}

func (d *Door) tables(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, d.cfg.Tables())
}
