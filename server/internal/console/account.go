package console

func accountPages() []page {
	return nil
}
