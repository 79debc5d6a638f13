"""What calls of models cost: priced, counted, and kept within each tenant's budget."""
